#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace graft {

/// What the process ends with (sysexits.h where it has a number). The same numbers in every command.
enum class ExitCode : int {
  kDone = 0,
  kUsage = 64,      ///< wrong command line, or a path on it that does not exist
  kData = 65,       ///< input data or model files are malformed
  kInternal = 70,   ///< a bug of graft's
  kInUse = 73,      ///< the output directory is in use or holds another recipe's run
  kIo = 74,         ///< reading or writing failed (disk full, permission)
  kPreempted = 75,  ///< stopped by a signal, state saved: run the same line again
  kNonFinite = 76,  ///< loss or gradient was not finite
  kPeerLost = 77,   ///< another rank died
  kRecipe = 78,     ///< the recipe is wrong
};

/// Base of every error graft throws on purpose. One error = one block on stderr: what is wrong, where, the nearest valid
/// name, what to do. what() is that whole block, so that library users see it too.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message);

  ExitCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& where() const { return where_; }
  const std::string& nearest() const { return nearest_; }
  const std::string& hint() const { return hint_; }
  const char* what() const noexcept override { return block_.c_str(); }

 protected:
  void set(std::string* field, const std::string& value);
  ExitCode code_;
  std::string message_, where_, nearest_, hint_;

 private:
  std::string block_;
};

/// The concrete errors: `throw DataError("tensor is 3 wide, expected 4").at("model.safetensors: lm_head.weight").hint("…");`
template <ExitCode kCode>
class ErrorWithCode : public Error {
 public:
  explicit ErrorWithCode(const std::string& message) : Error(kCode, message) {}
  /// Place of the fault: `file:line:col`, a tensor, a module, a sample.
  ErrorWithCode& at(const std::string& place) { return set(&where_, place), *this; }
  /// The closest name that would have been valid. Empty names are ignored.
  ErrorWithCode& nearest(const std::string& name) { return set(&nearest_, name), *this; }
  /// What the user should do now.
  ErrorWithCode& hint(const std::string& text) { return set(&hint_, text), *this; }

 private:
  using Error::hint_;
  using Error::nearest_;
  using Error::set;
  using Error::where_;
};

using UsageError = ErrorWithCode<ExitCode::kUsage>;
using DataError = ErrorWithCode<ExitCode::kData>;
using InternalError = ErrorWithCode<ExitCode::kInternal>;
using InUseError = ErrorWithCode<ExitCode::kInUse>;
using IoError = ErrorWithCode<ExitCode::kIo>;
using PreemptedError = ErrorWithCode<ExitCode::kPreempted>;
using NonFiniteError = ErrorWithCode<ExitCode::kNonFinite>;
using RecipeError = ErrorWithCode<ExitCode::kRecipe>;

}  // namespace graft
