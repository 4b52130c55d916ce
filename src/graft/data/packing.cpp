#include "graft/data/packing.h"

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

namespace graft::data {
namespace {

/// Number of each item's row → the items of each row in order of arrival.
RowLists group_by_row(const std::vector<int64_t>& row_of, int64_t rows) {
  RowLists lists;
  lists.begins.assign(static_cast<size_t>(rows) + 1, 0);
  for (const int64_t row : row_of) ++lists.begins[static_cast<size_t>(row) + 1];
  for (size_t r = 1; r < lists.begins.size(); ++r) lists.begins[r] += lists.begins[r - 1];
  std::vector<int64_t> next(lists.begins.begin(), lists.begins.end() - 1);
  lists.items.resize(row_of.size());
  for (size_t i = 0; i < row_of.size(); ++i)
    lists.items[static_cast<size_t>(next[static_cast<size_t>(row_of[i])]++)] = static_cast<int64_t>(i);
  return lists;
}

}  // namespace

RowLists pack_best_fit(const std::vector<int64_t>& lengths, int64_t capacity, int64_t open_rows) {
  std::vector<int64_t> row_of(lengths.size());
  std::vector<int64_t> room;                   // of every row ever opened
  std::set<std::pair<int64_t, int64_t>> open;  // (room, row): lower_bound finds the tightest fit
  std::deque<int64_t> by_age;                  // rows that may be open, oldest first; only kept when there is a bound
  const int64_t shortest = lengths.empty() ? 0 : *std::min_element(lengths.begin(), lengths.end());
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t length = lengths[i];
    auto fit = open.lower_bound({length, 0});
    int64_t row;
    if (fit != open.end()) {
      row = fit->second;
      open.erase(fit);
    } else {
      row = static_cast<int64_t>(room.size());
      room.push_back(capacity);
      if (open_rows > 0) by_age.push_back(row);
    }
    room[static_cast<size_t>(row)] -= length;
    row_of[i] = row;
    if (room[static_cast<size_t>(row)] >= shortest) open.insert({room[static_cast<size_t>(row)], row});
    while (open_rows > 0 && static_cast<int64_t>(by_age.size()) > open_rows) {
      open.erase({room[static_cast<size_t>(by_age.front())], by_age.front()});
      by_age.pop_front();
    }
  }
  return group_by_row(row_of, static_cast<int64_t>(room.size()));
}

}  // namespace graft::data
