#include "graft/recipe/schema_rows.h"

namespace graft::recipe {

const std::vector<Key>& schema_table() {
  static const std::vector<Key> table = [] {
    std::vector<Key> rows;
    for (auto part : {rows_of_the_model, rows_of_the_training, rows_of_the_run}) {
      for (Key& key : part()) rows.push_back(std::move(key));
    }
    return rows;
  }();
  return table;
}

}  // namespace graft::recipe
