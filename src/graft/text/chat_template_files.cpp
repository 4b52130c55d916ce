#include <algorithm>
#include <array>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/strings.h"
#include "graft/text/chat_template.h"

namespace graft::text {
namespace {

constexpr uint64_t kMaximumTemplate = uint64_t{4} << 20;
constexpr uint64_t kMaximumConfig = uint64_t{256} << 20;  // tokenizer_config.json lists every added token

constexpr std::array<const char*, 7> kNames = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

constexpr const char* kHint =
    "set data.template in the recipe: chatml, or file:PATH of a Jinja template; `model` needs chat_template.jinja or a chat_template in "
    "tokenizer_config.json";

Json read_config(const fs::path& path) {
  if (!fs::exists(path)) return Json::object();
  Json config = parse_json(read_file(path, kMaximumConfig), path.string());
  if (!config.is_object()) throw DataError("must be a JSON object").at(path.string());
  return config;
}

/// Takes a token's text; false when the file does not speak of it. An explicit null says that there is none.
bool read_token(const Json& config, const char* name, const fs::path& path, std::map<std::string, std::string>& tokens) {
  const auto found = config.find(name);
  if (found == config.end()) return false;
  tokens.erase(name);
  if (found->is_null()) return true;
  const Json* text = &*found;
  if (found->is_object() && found->contains("content")) text = &(*found)["content"];
  if (!text->is_string()) throw DataError(std::string(name) + " must be a string or an object with a string \"content\"").at(path.string());
  tokens[name] = text->get<std::string>();
  return true;
}

/// Every member of an object of named tokens. A list of tokens (extra_special_tokens in most models) names none.
void read_named(const Json& config, const char* section, const fs::path& path, std::map<std::string, std::string>& tokens) {
  const auto found = config.find(section);
  if (found == config.end() || !found->is_object()) return;
  for (const auto& item : found->items()) read_token(*found, item.key().c_str(), path, tokens);
}

/// Top-level `…_token` keys beside the standard names; add_bos_token and the like are no tokens.
void read_others(const Json& config, bool strings, bool objects, std::map<std::string, std::string>& tokens) {
  for (const auto& [name, value] : config.items()) {
    if (!ends_with(name, "_token") || std::find(kNames.begin(), kNames.end(), name) != kNames.end()) continue;
    if (strings && value.is_string()) tokens[name] = value.get<std::string>();
    if (objects && value.is_object() && value.contains("content") && value["content"].is_string())
      tokens[name] = value["content"].get<std::string>();
  }
}

/// The tokens that only this model has (image_token, think_token, …). As in transformers, model_specific_special_tokens counts only where
/// the config names no other of them as a plain string, and a named token wins over an AddedToken or the map's.
void read_own_tokens(const Json& config, const fs::path& config_path, const Json& map, const fs::path& map_path,
                     std::map<std::string, std::string>& tokens) {
  std::map<std::string, std::string> named;
  read_others(config, /*strings=*/true, /*objects=*/false, named);
  read_named(config, "extra_special_tokens", config_path, named);
  if (named.empty()) read_named(config, "model_specific_special_tokens", config_path, named);
  read_named(map, "extra_special_tokens", map_path, named);
  read_others(config, /*strings=*/false, /*objects=*/true, tokens);
  read_others(map, /*strings=*/true, /*objects=*/true, tokens);
  for (auto& [name, text] : named) tokens[name] = text;
}

/// What transformers' tokenizer classes take for tokens that no file of the model speaks of.
std::map<std::string, std::string> class_defaults(const Json& config) {
  const auto found = config.find("tokenizer_class");
  if (found == config.end() || !found->is_string()) return {};
  std::string name = found->get<std::string>();
  if (name.size() > 4 && name.compare(name.size() - 4, 4, "Fast") == 0) name.resize(name.size() - 4);
  static const std::map<std::string, std::map<std::string, std::string>> defaults = {
      {"LlamaTokenizer", {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}}},
      {"CodeLlamaTokenizer", {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}}},
      {"GPT2Tokenizer", {{"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}}},
      {"Qwen2Tokenizer", {{"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}}},
      {"GemmaTokenizer",
       {{"bos_token", "<bos>"}, {"eos_token", "<eos>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}, {"mask_token", "<mask>"}}},
      {"GPTNeoXTokenizer",
       {{"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}, {"pad_token", "<|padding|>"}}},
  };
  const auto known = defaults.find(name);
  return known == defaults.end() ? std::map<std::string, std::string>() : known->second;
}

struct NamedTemplate {
  std::string name, source, origin;
};

/// The templates that a tokenizer_config.json holds: one string, a list of {name, template}, or an object of them.
std::vector<NamedTemplate> templates_in_config(const Json& config, const std::string& path) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return {};
  const std::string origin = path + ":chat_template";
  if (found->is_string()) return {{"default", found->get<std::string>(), origin}};
  std::vector<NamedTemplate> templates;
  const auto add = [&](const Json& name, const Json& source) {
    if (!name.is_string() || !source.is_string())
      throw DataError("a named chat template needs a string name and a string template").at(origin);
    templates.push_back({name.get<std::string>(), source.get<std::string>(), origin + "[" + name.get<std::string>() + "]"});
  };
  if (found->is_object()) {
    for (const auto& [name, source] : found->items()) add(Json(name), source);
  } else if (found->is_array()) {
    for (const Json& entry : *found) {
      if (!entry.is_object() || !entry.contains("name") || !entry.contains("template")) {
        throw DataError("a named chat template needs \"name\" and \"template\"").at(origin);
      }
      add(entry["name"], entry["template"]);
    }
  } else {
    throw DataError("chat_template must be a string or a list of named templates").at(origin);
  }
  return templates;
}

/// Files win over the config: chat_template.jinja, additional_chat_templates/NAME.jinja.
std::vector<NamedTemplate> templates_in_files(const fs::path& directory) {
  std::vector<NamedTemplate> templates;
  const fs::path main = directory / "chat_template.jinja";
  if (fs::exists(main)) templates.push_back({"default", read_file(main, kMaximumTemplate), main.string()});
  const fs::path more = directory / "additional_chat_templates";
  if (!fs::is_directory(more)) return templates;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(more)) {
    if (entry.path().extension() == ".jinja") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) templates.push_back({path.stem().string(), read_file(path, kMaximumTemplate), path.string()});
  return templates;
}

/// Older processors keep the template in a file of its own.
std::vector<NamedTemplate> templates_in_processor_file(const fs::path& directory) {
  const fs::path path = directory / "chat_template.json";
  return templates_in_config(read_config(path), path.string());
}

/// All of a model's templates, from the first of the places that has any.
std::vector<NamedTemplate> find_templates(const fs::path& directory) {
  auto templates = templates_in_files(directory);
  const fs::path config_path = directory / "tokenizer_config.json";
  if (templates.empty()) templates = templates_in_config(read_config(config_path), config_path.string());
  if (templates.empty()) templates = templates_in_processor_file(directory);
  return templates;
}

/// The last of that name, as in a Python dict that is filled in order.
const NamedTemplate* named(const std::vector<NamedTemplate>& templates, const std::string& name) {
  const auto found = std::find_if(templates.rbegin(), templates.rend(), [&](const NamedTemplate& entry) { return entry.name == name; });
  return found == templates.rend() ? nullptr : &*found;
}

}  // namespace

std::map<std::string, std::string> special_tokens_of(const fs::path& directory, bool with_class_defaults) {
  const fs::path config_path = directory / "tokenizer_config.json";
  const fs::path map_path = directory / "special_tokens_map.json";
  const Json config = read_config(config_path);
  // A config that lists its added tokens is of the newer kind, to which special_tokens_map.json says nothing.
  const Json map = config.contains("added_tokens_decoder") ? Json::object() : read_config(map_path);
  auto tokens = with_class_defaults ? class_defaults(config) : std::map<std::string, std::string>();
  for (const char* name : kNames)
    if (!read_token(map, name, map_path, tokens)) read_token(config, name, config_path, tokens);
  read_own_tokens(config, config_path, map, map_path, tokens);
  return tokens;
}

bool has_chat_template(const fs::path& directory) { return !find_templates(directory).empty(); }

bool is_default_template(const fs::path& directory, std::string_view source) {
  const auto templates = find_templates(directory);
  const NamedTemplate* standard = named(templates, "default");
  return standard != nullptr && standard->source == source;
}

ChatTemplate ChatTemplate::load(const fs::path& directory) {
  if (!fs::is_directory(directory)) throw DataError("not a model directory").at(directory.string());
  const auto templates = find_templates(directory);
  if (templates.empty()) throw DataError("the model has no chat template").at(directory.string()).hint(kHint);
  const NamedTemplate* standard = named(templates, "default");
  if (standard == nullptr) {
    std::string names;
    for (const NamedTemplate& entry : templates) names += (names.empty() ? "" : ", ") + entry.name;
    throw DataError("the model has several chat templates and none is called default: " + names).at(directory.string()).hint(kHint);
  }
  ChatTemplate loaded(standard->source, special_tokens_of(directory), standard->origin);
  if (const NamedTemplate* tools = named(templates, "tool_use")) loaded.set_tool_template(tools->source, tools->origin);
  return loaded;
}

ChatTemplate ChatTemplate::load_file(const fs::path& path, std::map<std::string, std::string> special_tokens) {
  if (!fs::exists(path)) throw DataError("the chat template file does not exist").at(path.string()).hint(kHint);
  return ChatTemplate(read_file(path, kMaximumTemplate), std::move(special_tokens), path.string());
}

ChatTemplate ChatTemplate::load_for(const fs::path& directory, const fs::path& path) {
  if (is_default_template(directory, read_file(path, kMaximumTemplate))) return load(directory);
  return load_file(path, special_tokens_of(directory));
}

std::string_view chatml_template() {
  return R"jinja({%- macro words(content) %}
    {%- if content is string %}
        {{- content }}
    {%- elif content %}
        {%- for part in content %}
            {%- if part.type != 'text' %}
                {{- raise_exception('the chatml template has no form for a content part of type ' ~ part.type) }}
            {%- endif %}
            {{- part.text }}
        {%- endfor %}
    {%- endif %}
{%- endmacro %}
{%- if tools %}
    {{- raise_exception('the chatml template has no form for tools; use the model\'s own template') }}
{%- endif %}
{%- for message in messages %}
    {%- if message.tool_calls %}
        {{- raise_exception('the chatml template has no form for tool_calls; use the model\'s own template') }}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
            {{- words(message.content) }}
            {{- '<|im_end|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- words(message.content) }}
        {{- '<|im_end|>' }}
    {%- endif %}
    {{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %})jinja";
}

}  // namespace graft::text
