#include "graft/data/special_ids.h"

#include <optional>
#include <string>

#include "graft/base/error.h"
#include "graft/base/json.h"

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

/// A token's text: a string, or an object with `content` (an AddedToken). Empty when there is none.
std::string token_text(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && (*found)["content"].is_string()) return (*found)["content"].get<std::string>();
  return "";
}

/// The id of a named special token (eos_token, pad_token); nullopt when no file names it.
std::optional<int32_t> named_token(const fs::path& directory, const text::Tokenizer& tokenizer, const char* name) {
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const auto json = read_object(directory / file);
    const std::string text = json ? token_text(*json, name) : "";
    if (text.empty()) continue;
    if (const auto id = tokenizer.token_to_id(text)) return id;
    throw DataError(std::string(name) + " is \"" + text + "\", which tokenizer.json does not have").at((directory / file).string());
  }
  return std::nullopt;
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
