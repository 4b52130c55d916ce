#include "graft/models/family.h"

#include <algorithm>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/io/config_reader.h"
#include "graft/io/model_directory.h"
#include "graft/models/family_config.h"

namespace graft::models {
namespace {

/// Names of other families whose decoder is close to one of ours: what to suggest when the spelling does not tell.
std::string relative_of(const std::string& model_type) {
  for (const auto& family : families()) {
    if (starts_with(model_type, family.name) || model_type.find(family.name) != std::string::npos) return family.name;
  }
  return starts_with(model_type, "qwen") ? "qwen3" : starts_with(model_type, "mi") ? "mistral" : "llama";
}

const Family& family_of(const io::ConfigReader& config) {
  const auto model_type = config.string("model_type");
  std::vector<std::string> known;
  for (const auto& family : families()) {
    if (std::find(family.model_types.begin(), family.model_types.end(), model_type) != family.model_types.end()) return family;
    known.insert(known.end(), family.model_types.begin(), family.model_types.end());
  }
  const auto near = nearest_name(model_type, known);
  throw DataError("model_type \"" + model_type + "\" is not supported; supported are " + enumerate(known))
      .at(config.place("model_type"))
      .nearest(near.empty() ? relative_of(model_type) : near);
}

std::string read_dtype(const io::ConfigReader& config) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (!config.has(key)) continue;
    auto name = config.string(key);
    if (starts_with(name, "torch.")) name.erase(0, 6);
    if (name == "float32" || name == "bfloat16" || name == "float16") return name;
    if (name == "auto") continue;
    config.fail(key, "float32, bfloat16 or float16");
  }
  return "float32";
}

int32_t read_id(const io::ConfigReader& config, const std::string& key) {
  const auto ids = config.integers(key);
  // -1 is how some files say "none"; Qwen and others list several
  return ids.empty() || ids[0] < 0 || ids[0] > INT32_MAX ? -1 : static_cast<int32_t>(ids[0]);
}

std::vector<int32_t> read_eos(const io::ConfigReader& config) {
  std::vector<int32_t> result;
  for (const int64_t id : config.integers("eos_token_id")) {
    if (id >= 0 && id <= INT32_MAX) result.push_back(static_cast<int32_t>(id));
  }
  return result;
}

void read_special_ids(const io::ConfigReader& config, DecoderOptions* decoder) {
  if (auto ids = read_eos(config); !ids.empty()) decoder->eos_ids = std::move(ids);
  if (const auto id = read_id(config, "bos_token_id"); id >= 0) decoder->bos_id = id;
  if (const auto id = read_id(config, "pad_token_id"); id >= 0) decoder->pad_id = id;
}

}  // namespace

DecoderOptions parse_decoder_options(const std::string& config_text, const std::string& origin) {
  const Json json = parse_json(config_text, origin);
  io::ConfigReader config(json, origin);
  const auto& family = family_of(config);
  DecoderOptions decoder;
  decoder.family = family.name;
  decoder.dtype = read_dtype(config);
  read_special_ids(config, &decoder);
  family.configure(config, decoder);
  check_nothing_is_left(config, json, family.name);
  return decoder;
}

DecoderOptions read_decoder_options(const io::ModelDirectory& directory) {
  auto decoder = parse_decoder_options(directory.config_text(), (directory.path() / "config.json").string());
  if (directory.has("generation_config.json")) {
    const auto path = (directory.path() / "generation_config.json").string();
    read_special_ids(io::ConfigReader(read_json(path), "generation_config.json"), &decoder);
  }
  if (decoder.tied_embeddings && has_head_of_its_own(directory)) decoder.tied_embeddings = false;
  return decoder;
}

}  // namespace graft::models
