#pragma once

#include <cstdint>
#include <vector>

namespace graft::data {

/// Rows as runs in one list: row r holds items[begins[r]] … items[begins[r + 1] - 1].
struct RowLists {
  std::vector<int64_t> items;
  std::vector<int64_t> begins = {0};
  int64_t size() const { return static_cast<int64_t>(begins.size()) - 1; }
};

/// Best fit, online: each item in turn goes to the open row with the least room that still holds it (among equals the one opened
/// first), else opens a new row. A row never holds more than `capacity`; an item longer than that has a row of its own. Rows come
/// out in the order of opening, items in the order of arrival. At most `open_rows` rows are open (the oldest closes first); 0: no bound.
/// O(n log n). lengths[i] is the length of item i of the result.
RowLists pack_best_fit(const std::vector<int64_t>& lengths, int64_t capacity, int64_t open_rows = 0);

}  // namespace graft::data
