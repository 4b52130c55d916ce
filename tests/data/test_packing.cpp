#include <algorithm>
#include <numeric>

#include "data/support.h"
#include "graft/base/random.h"
#include "graft/data/packing.h"

using graft::RandomStream;
using graft::data::pack_best_fit;
using graft::data::RowLists;

namespace {

std::vector<std::vector<int64_t>> rows_of(const RowLists& lists) {
  std::vector<std::vector<int64_t>> rows;
  for (size_t r = 0; r + 1 < lists.begins.size(); ++r)
    rows.emplace_back(lists.items.begin() + lists.begins[r], lists.items.begin() + lists.begins[r + 1]);
  return rows;
}

std::vector<int64_t> random_lengths(size_t count, int64_t longest, uint64_t seed) {
  RandomStream stream(seed, "lengths");
  std::vector<int64_t> lengths(count);
  for (auto& length : lengths) length = 1 + static_cast<int64_t>(stream.below(static_cast<uint64_t>(longest)));
  return lengths;
}

/// Best fit as the definition says it, by looking at every row.
std::vector<std::vector<int64_t>> naive_best_fit(const std::vector<int64_t>& lengths, int64_t capacity) {
  std::vector<std::vector<int64_t>> rows;
  std::vector<int64_t> room;
  for (size_t i = 0; i < lengths.size(); ++i) {
    size_t best = rows.size();
    for (size_t r = 0; r < rows.size(); ++r)
      if (room[r] >= lengths[i] && (best == rows.size() || room[r] < room[best])) best = r;
    if (best == rows.size()) rows.emplace_back(), room.push_back(capacity);
    rows[best].push_back(static_cast<int64_t>(i));
    room[best] -= lengths[i];
  }
  return rows;
}

}  // namespace

TEST_CASE("packing is best fit: equal to looking at every row for every item", "[data]") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto lengths = random_lengths(300, 50, seed);
    REQUIRE(rows_of(pack_best_fit(lengths, 64)) == naive_best_fit(lengths, 64));
  }
}

TEST_CASE("packing holds every item once and no row above the capacity", "[data]") {
  for (const int64_t open_rows : {0, 1, 8, 64}) {
    const auto lengths = random_lengths(5000, 700, 3);
    std::vector<int64_t> seen;
    for (const auto& row : rows_of(pack_best_fit(lengths, 1000, open_rows))) {
      int64_t sum = 0;
      for (const auto item : row) sum += lengths[static_cast<size_t>(item)];
      REQUIRE(sum <= 1000);
      REQUIRE(std::is_sorted(row.begin(), row.end()));
      seen.insert(seen.end(), row.begin(), row.end());
    }
    std::sort(seen.begin(), seen.end());
    std::vector<int64_t> all(lengths.size());
    std::iota(all.begin(), all.end(), 0);
    REQUIRE(seen == all);
  }
}

TEST_CASE("a bound on open rows keeps the order: with one, rows are consecutive runs", "[data]") {
  const auto lists = pack_best_fit(random_lengths(1000, 60, 5), 100, 1);
  REQUIRE(std::is_sorted(lists.items.begin(), lists.items.end()));
}

TEST_CASE("no items make no rows", "[data]") { REQUIRE(pack_best_fit({}, 10).size() == 0); }
