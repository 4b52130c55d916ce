#pragma once

#include <cstdint>
#include <string>

#include "graft/data/dataset.h"

namespace graft::data {

/// Layout of a cache file, little endian, every part a multiple of 8 bytes:
///   header | for each sample ids then labels (int32) | SampleEntry per sample, offset in int32s | statistics as JSON, zero padded
struct CacheHeader {
  char magic[8];    ///< "GRAFTDS1"
  char key[64];     ///< hexadecimal SHA-256 of everything that determines the content
  uint64_t tokens;  ///< ids of all samples together
  uint64_t samples;
  uint64_t statistics_bytes;  ///< padding included
  uint64_t body_checksum;     ///< of everything after the header
  uint64_t header_checksum;   ///< of everything before this field
};
static_assert(sizeof(CacheHeader) == 112);

inline constexpr char kCacheMagic[8] = {'G', 'R', 'A', 'F', 'T', 'D', 'S', '1'};

uint64_t header_checksum(const CacheHeader& header);

std::string statistics_to_json(const DatasetStatistics& statistics);
DatasetStatistics statistics_from_json(const std::string& text);

}  // namespace graft::data
