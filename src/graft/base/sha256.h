#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace graft {

/// Lower-case hexadecimal SHA-256 of the bytes, or of a file read in pieces; `between` is called after each MiB and may throw.
std::string sha256(std::string_view bytes);
std::string sha256_of_file(const std::filesystem::path& path, const std::function<void()>& between = {});

}  // namespace graft
