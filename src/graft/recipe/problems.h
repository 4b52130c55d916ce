#pragma once

#include <string>
#include <vector>

namespace graft::recipe {

/// One fault in a recipe.
struct Problem {
  std::string place;    ///< file:line:col, or "command line: key=value"
  std::string message;  ///< what is wrong
  std::string nearest;  ///< the closest valid name, or ""
  std::string hint;     ///< what to do, or ""
};

/// Collects faults so that a user sees all of them at once.
class Problems {
 public:
  /// Throws what there is once it is more than anybody reads: a file of a million faults must not take minutes.
  void add(Problem problem);
  bool empty() const { return list_.empty(); }
  /// One RecipeError with a block per fault ("recipe.yaml:14:3: unknown key …"). Does nothing when there is none.
  void throw_if_any() const;

 private:
  std::vector<Problem> list_;
};

/// User text for a message: at most `most` bytes, whole characters, no control characters (a recipe must not drive a terminal).
std::string shortened(const std::string& text, size_t most = 80);

/// RecipeError with a single fault.
[[noreturn]] void throw_problem(const Problem& problem);

/// A value that does not fit its key; bind adds the place.
struct ValueError {
  std::string message;
  std::string nearest;
  std::string hint;
};

}  // namespace graft::recipe
