#include "graft/text/tokenizer/added_tokens.h"

#include <algorithm>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

constexpr size_t kLongestContent = 4096;  // bytes: every place of a text may be compared with as many

uint32_t begin_of_last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (is_continuation_byte(text[at])) --at;
  return static_cast<uint32_t>(at);
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word(decode_character(text.data() + begin_of_last_character(text)).code);
}
bool begins_with_word(std::string_view text) { return !text.empty() && is_word(decode_character(text.data()).code); }

/// Where the white space at the end of the text begins.
uint32_t white_space_at_end(std::string_view text) {
  while (!text.empty()) {
    const uint32_t last = begin_of_last_character(text);
    if (!is_white_space(decode_character(text.data() + last).code)) break;
    text = text.substr(0, last);
  }
  return static_cast<uint32_t>(text.size());
}

uint32_t white_space_at_begin(std::string_view text) {
  uint32_t size = 0;
  while (size < text.size() && is_white_space(decode_character(text.data() + size).code)) size += character_size(text[size]);
  return size;
}

}  // namespace

void AddedTokens::load(const std::vector<AddedToken>& tokens, const Vocabulary& vocabulary, const Normalize& normalize,
                       const std::string& origin) {
  auto next_id = static_cast<int32_t>(vocabulary.size());
  std::unordered_map<int32_t, size_t> claimed;
  int misplaced = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    AddedToken token = tokens[i];
    const std::string path = origin + ": added_tokens[" + std::to_string(i) + "]";
    if (token.content.empty()) continue;  // HF leaves these out too
    if (token.content.size() > kLongestContent) throw DataError("the token is longer than 4096 bytes").at(path + ".content");
    const auto [claim, is_new] = claimed.emplace(token.id, i);
    if (!is_new && tokens[claim->second].content != token.content) {
      throw DataError("the id " + std::to_string(token.id) + " is also that of \"" + tokens[claim->second].content + "\"").at(path + ".id");
    }
    const auto known = by_content_.find(token.content);
    const auto in_model = vocabulary.find(token.content);
    const int32_t id = known != by_content_.end() ? known->second : in_model ? *in_model : next_id++;
    if (id != token.id && misplaced++ == 0) {
      log::warning(path + ": \"" + token.content + "\" has the id " + std::to_string(token.id) + " in the file, but gets " +
                   std::to_string(id) + " (HF tokenizers numbers added tokens from the model's vocabulary on)");
    }
    token.id = id;
    id_limit_ = std::max(id_limit_, id + 1);
    by_content_[token.content] = id;
    std::string normalized = token.normalized ? normalize(token.content) : token.content;
    by_id_[id] = {std::move(token), std::move(normalized)};
  }
  if (misplaced > 1) log::warning(origin + ": the same holds for " + std::to_string(misplaced - 1) + " more added tokens");
  build_indices(origin);
}

void AddedTokens::build_indices(const std::string& origin) {
  for (const auto& [id, entry] : by_id_) {
    if (entry.normalized.empty())
      throw DataError("the added token \"" + entry.token.content + "\" normalizes to nothing").at(origin + ": added_tokens");
    (entry.token.normalized ? normalized_ : original_).add(entry.normalized, id);
  }
  std::string twice;
  if (!original_.build(&twice) || !normalized_.build(&twice)) {
    throw DataError("two added tokens have the normalized form \"" + twice + "\"").at(origin + ": added_tokens");
  }
}

std::optional<int32_t> AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  if (found == by_content_.end()) return std::nullopt;
  return found->second;
}

const AddedToken* AddedTokens::token(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second.token;
}

const std::string& AddedTokens::decoded(int32_t id) const { return by_id_.at(id).normalized; }

void AddedTokens::split(const PrefixIndex& index, std::string_view text, std::vector<Section>* sections) const {
  sections->clear();
  const auto size = static_cast<uint32_t>(text.size());
  uint32_t done = 0;
  for (uint32_t at = 0; at < size && !index.empty();) {
    uint32_t length = 0;
    int32_t id = -1;
    if (index.begins_with(text[at])) {
      index.prefixes(text.substr(at), [&](size_t found, int32_t value) {
        length = static_cast<uint32_t>(found);
        id = value;
      });
    }
    if (length == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = by_id_.at(id).token;
    uint32_t begin = at, end = at + length;
    at = end;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || begins_with_word(text.substr(end)))) continue;
    // White space that an earlier token has taken already stays with it.
    if (token.lstrip) begin = std::max(white_space_at_end(text.substr(0, begin)), done);
    if (token.rstrip) end += white_space_at_begin(text.substr(end));
    if (done < begin) sections->push_back({{done, begin}, -1});
    sections->push_back({{begin, end}, id});
    done = end;
  }
  if (done != size) sections->push_back({{done, size}, -1});
}

}  // namespace graft::text::tok
