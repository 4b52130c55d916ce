#include "graft/adapters/target_kind.h"

#include <algorithm>

#include "graft/base/strings.h"

namespace graft::detail {
namespace {

// A Linear belongs to the half of a block that any part of its path names.
const std::vector<std::string> kAttentionWords = {"attn", "attention", "q_proj",          "k_proj", "v_proj", "o_proj",
                                                  "qkv",  "c_attn",    "query_key_value", "Wqkv",   "mha"};
const std::vector<std::string> kMlpWords = {"mlp",       "ffn", "feed_forward", "feedforward", "gate_proj", "up_proj",
                                            "down_proj", "fc1", "fc2",          "linear1",     "linear2"};

bool path_has_word(const std::string& path, const std::vector<std::string>& words) {
  const auto parts = split(path, '.');
  return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) {
    return std::any_of(words.begin(), words.end(), [&](const std::string& word) { return part.find(word) != std::string::npos; });
  });
}

}  // namespace

const std::vector<std::string>& target_kinds() {
  static const std::vector<std::string> kinds = {"all-linear", "attention", "mlp"};
  return kinds;
}

bool is_target_kind(const std::string& entry) {
  return std::find(target_kinds().begin(), target_kinds().end(), entry) != target_kinds().end();
}

bool path_is_of_kind(const std::string& kind, const std::string& path) {
  if (kind == "attention") return path_has_word(path, kAttentionWords);
  if (kind == "mlp") return path_has_word(path, kMlpWords) && !path_has_word(path, kAttentionWords);
  return kind == "all-linear";
}

}  // namespace graft::detail
