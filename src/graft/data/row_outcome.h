#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "graft/data/dataset.h"
#include "graft/data/sample_encoder.h"

namespace graft::data {

/// What became of one row: none, one or (a cut document) several samples, or why not.
struct RowOutcome {
  enum class Kind { kKept, kBad, kTooLong, kUnsupervised } kind = Kind::kKept;
  std::vector<Encoded> samples;
  int64_t line = 0, element = -1;
  bool truncated = false, cut = false;
  std::string reason;        ///< kBad: "file:line: what"
  std::exception_ptr error;  ///< ends the build
};

/// Applies max_length and drops what has nothing to learn:
///   kDrop           longer samples are left out; under `pretrain` cut into pieces of max_length (never a last piece of one token,
///                   which could not be learnt from)
///   kTruncateRight  the first max_length tokens
///   kError          DataError with the length (the caller knows the place)
/// A sample without a supervised token, before or after truncation, is kUnsupervised.
void apply_length_policy(Encoded encoded, const DatasetOptions& options, RowOutcome& outcome);

}  // namespace graft::data
