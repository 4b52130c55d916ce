#include "graft/data/special_ids.h"

#include <optional>
#include <string>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/text/chat_template.h"

namespace graft::data {
namespace {

namespace fs = std::filesystem;

std::optional<Json> read_object(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  Json json = read_json(path.string());
  if (!json.is_object()) throw DataError("the file is not a JSON object").at(path.string());
  return json;
}

/// The id of a named special token (eos_token, pad_token), whose text is the one that templates see; nullopt when there is none.
std::optional<int32_t> named_token(const fs::path& directory, const text::Tokenizer& tokenizer, const char* name) {
  const auto written = text::special_tokens_of(directory, /*with_class_defaults=*/false);
  if (const auto token = written.find(name); token != written.end() && !token->second.empty()) {
    if (const auto id = tokenizer.token_to_id(token->second)) return id;
    throw DataError(std::string(name) + " is \"" + token->second + "\", which tokenizer.json does not have")
        .at(directory.string())
        .hint("correct it in tokenizer_config.json or special_tokens_map.json");
  }
  // A class's default that the vocabulary lacks is nobody's word: other files may name the id.
  const auto tokens = text::special_tokens_of(directory);
  const auto token = tokens.find(name);
  return token == tokens.end() ? std::nullopt : tokenizer.token_to_id(token->second);
}

}  // namespace

int32_t find_eos_id(const fs::path& model_directory, const text::Tokenizer& tokenizer) {
  if (const auto id = named_token(model_directory, tokenizer, "eos_token")) return *id;
  for (const char* file : {"generation_config.json", "config.json"}) {
    const auto json = read_object(model_directory / file);
    if (!json || !json->contains("eos_token_id")) continue;
    const Json& value = (*json)["eos_token_id"];
    const Json& first = value.is_array() && !value.empty() ? value[0] : value;
    if (first.is_null()) continue;
    if (!first.is_number_unsigned() || first.get<uint64_t>() > INT32_MAX)
      throw DataError("eos_token_id is " + dump_json(value) + ", expected a token id").at((model_directory / file).string());
    return first.get<int32_t>();
  }
  return -1;
}

int32_t find_pad_id(const fs::path& model_directory, const text::Tokenizer& tokenizer) {
  return named_token(model_directory, tokenizer, "pad_token").value_or(0);
}

}  // namespace graft::data
