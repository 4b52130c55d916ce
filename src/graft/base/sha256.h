#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace graft {

/// Lower-case hexadecimal SHA-256 of the bytes, or of a file read in pieces.
std::string sha256(std::string_view bytes);
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace graft
