#pragma once

#include <string>
#include <string_view>

namespace graft::io {

/// A name from an untrusted file, fit for an error message: control characters (NUL, terminal escapes) become '?', at most 200 bytes.
std::string printable(std::string_view name);

}  // namespace graft::io
