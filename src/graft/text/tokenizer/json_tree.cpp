#include "graft/text/tokenizer/json_tree.h"

#include "graft/base/error.h"

namespace graft::text::tok {
namespace {

constexpr size_t kMaximumDepth = 64;
constexpr size_t kMaximumMembers = 4096;  // members are looked up one after the other

}  // namespace

std::string JsonTree::path() const {
  std::string path;
  for (const Level& level : open_) {
    if (level.container->is_array()) {
      path += "[" + std::to_string(level.container->size()) + "]";
    } else {
      path += (path.empty() ? "" : ".") + level.key;
    }
  }
  return path;
}

void JsonTree::key(std::string name) {
  Level& level = open_.back();
  level.key = std::move(name);
  if (!level.keys.insert(level.key).second) throw DataError("the member \"" + level.key + "\" occurs twice").at(place_ + ": " + path());
  if (level.keys.size() > kMaximumMembers) throw DataError("an object with more than 4096 members").at(place_ + ": " + path());
}

Json* JsonTree::put(Json value) {
  if (open_.empty()) return &(root_ = std::move(value));
  Json& container = *open_.back().container;
  if (container.is_array()) {
    container.push_back(std::move(value));
    return &container.back();
  }
  return &(container[open_.back().key] = std::move(value));
}

void JsonTree::value(Json scalar) { put(std::move(scalar)); }

void JsonTree::open(Json container) {
  if (open_.size() >= kMaximumDepth) throw DataError("nested deeper than 64 levels").at(place_ + ": " + path());
  Json* placed = put(std::move(container));
  open_.push_back({placed, {}, {}});
}

void JsonTree::close() { open_.pop_back(); }

Json JsonTree::take() {
  open_.clear();
  return std::exchange(root_, Json());
}

}  // namespace graft::text::tok
