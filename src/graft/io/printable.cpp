#include "graft/io/printable.h"

namespace graft::io {

std::string printable(std::string_view name) {
  constexpr size_t kLongest = 200;
  std::string text;
  for (const char c : name.substr(0, kLongest)) text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return name.size() > kLongest ? text + "…" : text;
}

}  // namespace graft::io
