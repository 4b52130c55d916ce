#pragma once

#include <cstdint>
#include <vector>

namespace graft::data {

/// The samples one source offers to a plan, and how many passes over them an epoch makes.
struct WeightedSource {
  std::vector<int64_t> samples;  ///< in file order
  double weight = 1;
};

/// The samples of an epoch in training order: a pure function of its arguments. Each source is an endless chain of passes over its
/// samples (a pass is shuffled, or in file order); epoch e takes the stretch from e*weight to (e+1)*weight passes, at least one
/// sample. The sources' stretches are shuffled together, or follow each other in file order.
std::vector<int64_t> epoch_order(const std::vector<WeightedSource>& sources, uint64_t seed, bool shuffle, int64_t epoch);

/// How many samples epoch_order returns, without making them.
int64_t epoch_size(const std::vector<WeightedSource>& sources, int64_t epoch);

}  // namespace graft::data
