#include "graft/data/epoch_order.h"

#include <algorithm>
#include <cmath>

#include "graft/base/random.h"

namespace graft::data {
namespace {

struct Stretch {
  int64_t begin, end;  ///< positions in the endless chain of passes
};

Stretch stretch_of(const WeightedSource& source, int64_t epoch) {
  const auto samples = static_cast<int64_t>(source.samples.size());
  const double per_epoch = source.weight * static_cast<double>(samples);
  const double whole = std::floor(per_epoch);
  if (per_epoch == whole) return {epoch * static_cast<int64_t>(whole), (epoch + 1) * static_cast<int64_t>(whole)};
  const auto begin = static_cast<int64_t>(std::floor(per_epoch * static_cast<double>(epoch)));
  const auto end = static_cast<int64_t>(std::floor(per_epoch * static_cast<double>(epoch + 1)));
  return {begin, std::max(end, begin + 1)};
}

void append_stretch(const WeightedSource& source, size_t number, Stretch stretch, uint64_t seed, bool shuffle,
                    std::vector<int64_t>& order) {
  const auto samples = static_cast<int64_t>(source.samples.size());
  while (stretch.begin < stretch.end) {
    const int64_t pass = stretch.begin / samples, from = stretch.begin % samples;
    const int64_t to = std::min(samples, from + stretch.end - stretch.begin);
    if (shuffle && to - from < samples) {  // part of a pass: which part is the seed's choice
      // The seed of a pass is its source's own, so that one source's weight does not move another's choice.
      const auto chosen =
          random_permutation(static_cast<uint64_t>(samples), derive_seed(seed, "pass", number), "pass", static_cast<uint64_t>(pass));
      for (int64_t i = from; i < to; ++i) order.push_back(source.samples[chosen[static_cast<size_t>(i)]]);
    } else {
      order.insert(order.end(), source.samples.begin() + from, source.samples.begin() + to);
    }
    stretch.begin += to - from;
  }
}

}  // namespace

int64_t epoch_size(const std::vector<WeightedSource>& sources, int64_t epoch) {
  int64_t size = 0;
  for (const auto& source : sources) {
    const auto stretch = stretch_of(source, epoch);
    if (!source.samples.empty()) size += stretch.end - stretch.begin;
  }
  return size;
}

std::vector<int64_t> epoch_order(const std::vector<WeightedSource>& sources, uint64_t seed, bool shuffle, int64_t epoch) {
  std::vector<int64_t> order;
  order.reserve(static_cast<size_t>(epoch_size(sources, epoch)));
  for (size_t s = 0; s < sources.size(); ++s)
    if (!sources[s].samples.empty()) append_stretch(sources[s], s, stretch_of(sources[s], epoch), seed, shuffle, order);
  if (!shuffle) return order;
  const auto places = random_permutation(order.size(), seed, "shuffle", static_cast<uint64_t>(epoch));
  std::vector<int64_t> shuffled(order.size());
  for (size_t i = 0; i < order.size(); ++i) shuffled[i] = order[places[i]];
  return shuffled;
}

}  // namespace graft::data
