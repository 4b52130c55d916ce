#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "graft/base/json.h"

namespace graft::text::tok {

/// Builds a small Json value from parser events. Refuses (DataError naming `place`) duplicate members, deep nesting and objects so
/// large that they cannot be settings.
class JsonTree {
 public:
  explicit JsonTree(std::string place) : place_(std::move(place)) {}

  void key(std::string name);
  void value(Json scalar);
  void open(Json container);  ///< an empty object or array
  void close();

  size_t depth() const { return open_.size(); }
  /// Member names and "[i]" that lead to the value that comes next: "pre_tokenizer.pretokenizers".
  std::string path() const;
  /// The finished value; the tree is empty afterwards.
  Json take();

 private:
  struct Level {
    Json* container;
    std::string key;
    std::unordered_set<std::string> keys;
  };
  Json* put(Json value);

  std::string place_;
  Json root_;
  std::vector<Level> open_;
};

}  // namespace graft::text::tok
