#include <algorithm>
#include <cctype>
#include <charconv>

#include "graft/base/strings.h"
#include "graft/io/adapter_config.h"
#include "graft/io/regex.h"

namespace graft::io {
namespace {

using Names = std::variant<std::vector<std::string>, std::string>;

bool ends_in(const std::string& name, const std::string& entry) {
  return name.size() > entry.size() && name[name.size() - entry.size() - 1] == '.' && ends_with(name, entry);
}

bool ends_in_one_of(const std::string& name, const std::vector<std::string>& entries) {
  return std::any_of(entries.begin(), entries.end(), [&](const std::string& entry) { return ends_in(name, entry); });
}

bool is_one_of(const std::string& name, const std::vector<std::string>& entries) {
  return std::find(entries.begin(), entries.end(), name) != entries.end();
}

bool is_excluded(const AdapterConfig& config, const std::string& name) {
  if (const auto* pattern = std::get_if<std::string>(&config.exclude_modules))
    return !pattern->empty() && regex_full_match(*pattern, name, "exclude_modules");
  const auto& entries = std::get<std::vector<std::string>>(config.exclude_modules);
  return is_one_of(name, entries) || ends_in_one_of(name, entries);
}

// A module that is trained and saved whole, or lies inside one. The entries are regular expressions in PEFT.
bool is_saved_whole(const AdapterConfig& config, const std::string& name) {
  return std::any_of(config.modules_to_save.begin(), config.modules_to_save.end(),
                     [&](const std::string& entry) { return regex_match("(^|.*\\.)" + entry + "($|\\..*)", name, "modules_to_save"); });
}

// The index in the first "….layers.7.…" of the path, or -1. With patterns, the container must be called so.
int64_t layer_index(const AdapterConfig& config, const std::string& name) {
  RegexGroup index{"idx", ""};
  if (config.layers_pattern.empty()) {
    regex_match(R"(.*?\.[^.]*\.(?P<idx>\d+)\.)", name, "layers_to_transform", &index);
  } else {
    for (const auto& pattern : config.layers_pattern)
      if (regex_match("(?:^|.*?\\.)" + pattern + R"(\.(?P<idx>\d+)\.)", name, "layers_pattern", &index)) break;
  }
  int64_t value = -1;
  const char* end = index.value.data() + index.value.size();
  return std::from_chars(index.value.data(), end, value).ptr == end && !index.value.empty() ? value : -1;
}

bool is_in_layers(const AdapterConfig& config, const std::string& name) {
  if (!config.layers_to_transform || config.layers_to_transform->empty()) return true;
  const int64_t index = layer_index(config, name);
  const auto& wanted = *config.layers_to_transform;
  return index >= 0 && std::find(wanted.begin(), wanted.end(), index) != wanted.end();
}

template <typename Value>
Value pattern_value(const std::vector<std::pair<std::string, Value>>& patterns, const std::string& name, Value otherwise,
                    const char* field) {
  for (const auto& [pattern, value] : patterns)
    if (regex_match("(.*\\.)?(" + pattern + ")$", name, field)) return value;
  return otherwise;
}

}  // namespace

bool targets_all_linear(const AdapterConfig& config) {
  static constexpr std::string_view kWord = "all-linear";
  const auto* text = std::get_if<std::string>(&config.target_modules);
  return text != nullptr && text->size() == kWord.size() &&
         std::equal(text->begin(), text->end(), kWord.begin(), [](unsigned char a, char b) { return std::tolower(a) == b; });
}

bool saves_module(const AdapterConfig& config, const std::string& name) {
  const auto ends_here = [&](std::string_view path) {
    return std::any_of(config.modules_to_save.begin(), config.modules_to_save.end(),
                       [&](const std::string& entry) { return ends_with(path, entry); });
  };
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
    if (ends_here(std::string_view(name).substr(0, dot))) return true;
  return ends_here(name);
}

bool targets_module(const AdapterConfig& config, const std::string& name) {
  if (is_excluded(config, name) || is_saved_whole(config, name)) return false;
  if (const auto* pattern = std::get_if<std::string>(&config.target_modules))
    return targets_all_linear(config) || regex_full_match(*pattern, name, "target_modules");
  const auto& entries = std::get<std::vector<std::string>>(config.target_modules);
  if (is_one_of(name, entries)) return true;  // a full path is not narrowed by layers_to_transform
  return ends_in_one_of(name, entries) && is_in_layers(config, name);
}

int64_t rank_of(const AdapterConfig& config, const std::string& name) {
  return pattern_value(config.rank_pattern, name, config.r, "rank_pattern");
}

double alpha_of(const AdapterConfig& config, const std::string& name) {
  return pattern_value(config.alpha_pattern, name, config.lora_alpha, "alpha_pattern");
}

}  // namespace graft::io
