#include "graft/base/error.h"

namespace graft {

Error::Error(ExitCode code, std::string message)
    : std::runtime_error(message), code_(code), message_(std::move(message)), block_(message_) {}

void Error::set(std::string* field, std::string value) {
  *field = std::move(value);
  block_ = message_;
  if (!where_.empty()) block_ += "\n  at: " + where_;
  if (!nearest_.empty()) block_ += "\n  did you mean: " + nearest_;
  if (!hint_.empty()) block_ += "\n  do: " + hint_;
}

}  // namespace graft
