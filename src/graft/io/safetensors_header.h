#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graft/io/safetensors.h"

namespace graft::io {

/// The header's length field may not exceed this (the reference's limit; equality is accepted).
inline constexpr uint64_t kHeaderLimit = 100'000'000;
/// kOwn's limit: an adapter with a bigger header is not one.
inline constexpr uint64_t kOwnHeaderLimit = uint64_t{16} << 20;

struct SafetensorsHeader {
  std::vector<TensorEntry> entries;  ///< sorted by their data's place
  std::map<std::string, std::string> metadata;
};

/// Parses the header's JSON and checks it against the data section's length, in the reference's order: UTF-8, JSON and types, then
/// per tensor (sorted by place) no hole or overlap, no overflow, size = shape x dtype, and at last that the data ends where the file
/// does. DataErrors begin with the rule that is broken. `path` is for errors.
SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_size, Strictness strictness, const std::string& path);

}  // namespace graft::io
