#include "graft/base/error.h"

namespace graft {
namespace {

/// Messages quote what stands in files: a NUL must not end the block, an escape sequence not reach the terminal.
std::string readable(const std::string& text) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F) {
      (out += "\\x") += {kDigits[byte / 16], kDigits[byte % 16]};
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Error::Error(ExitCode code, const std::string& message)
    : std::runtime_error(message), code_(code), message_(readable(message)), block_(message_) {}

void Error::set(std::string* field, const std::string& value) {
  *field = readable(value);
  block_ = message_;
  if (!where_.empty()) block_ += "\n  at: " + where_;
  if (!nearest_.empty()) block_ += "\n  did you mean: " + nearest_;
  if (!hint_.empty()) block_ += "\n  do: " + hint_;
}

}  // namespace graft
