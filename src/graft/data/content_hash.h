#pragma once

#include <filesystem>
#include <string>

namespace graft::data {

/// SHA-256 of a file's bytes, read in pieces. With a cache directory the result is remembered under (absolute path, size, inode,
/// time of last change), so that a large file is read once; a file changed less than two seconds ago is not remembered, since a
/// second change within the clock's grain would go unnoticed.
std::string content_hash(const std::filesystem::path& file, const std::filesystem::path& cache_directory);

/// Size, inode and times of last change as one text: equal before and after means the bytes in between were the same.
std::string file_stamp(const std::filesystem::path& file);

}  // namespace graft::data
