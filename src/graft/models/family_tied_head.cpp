#include <cstring>

#include "graft/base/error.h"
#include "graft/io/model_directory.h"
#include "graft/models/family.h"

namespace graft::models {
namespace {

constexpr const char* kHead = "lm_head.weight";
constexpr const char* kEmbedding = "model.embed_tokens.weight";

bool differ(const io::ModelDirectory& directory) {
  const auto head = directory.find(kHead), embedding = directory.find(kEmbedding);
  if (!head || !embedding) return false;
  return head->entry->dtype != embedding->entry->dtype || head->bytes() != embedding->bytes();
}

}  // namespace

bool has_head_of_its_own(const io::ModelDirectory& directory) {
  if (!directory.files().empty()) return differ(directory);
  // Opened for its config alone. Whoever reads the weights says what is wrong with them.
  if (!directory.has("model.safetensors") && !directory.has("model.safetensors.index.json")) return false;
  try {
    return differ(io::ModelDirectory(directory.path()));
  } catch (const Error&) {
    return false;
  }
}

}  // namespace graft::models
