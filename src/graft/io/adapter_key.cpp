#include "graft/io/adapter_key.h"

#include "graft/base/strings.h"

namespace graft::io {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";

struct Ending {
  std::string_view text;
  AdapterKey::Part part;
};
constexpr Ending kEndings[] = {{".lora_A.weight", AdapterKey::Part::kA},
                               {".lora_B.weight", AdapterKey::Part::kB},
                               {".lora_embedding_A", AdapterKey::Part::kEmbeddingA},
                               {".lora_embedding_B", AdapterKey::Part::kEmbeddingB}};

std::string without_saved(std::string_view tensor_name) {
  constexpr std::string_view kSaved = ".modules_to_save.";
  std::string plain(tensor_name);
  if (const size_t at = plain.find(kSaved); at != std::string::npos) plain.erase(at, kSaved.size() - 1);
  return plain;
}

}  // namespace

std::string plain_adapter_key(std::string_view tensor_name) {
  return tensor_name.find(".original_module.") != std::string_view::npos ? "" : without_saved(tensor_name);
}

AdapterKey parse_adapter_key(std::string_view tensor_name) {
  AdapterKey key;
  if (!starts_with(tensor_name, kPrefix)) {
    key.parameter = std::string(tensor_name);
    return key;
  }
  const std::string plain = without_saved(tensor_name);
  const std::string_view name = std::string_view(plain).substr(kPrefix.size());
  for (const auto& [ending, part] : kEndings) {
    if (!ends_with(name, ending)) continue;
    return {part, std::string(name.substr(0, name.size() - ending.size())), std::string(ending.substr(1))};
  }
  for (const std::string_view other : {".lora_", ".token_adapter.", ".ia3_", ".hada_", ".lokr_", ".vera_"})
    if (const size_t at = name.find(other); at != std::string_view::npos)
      return {AdapterKey::Part::kUnsupported, std::string(name.substr(0, at)), std::string(name.substr(at + 1))};
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {AdapterKey::Part::kWhole, "", std::string(name)};
  std::string_view module = name.substr(0, dot);
  constexpr std::string_view kBaseLayer = ".base_layer";
  const bool base_layer = ends_with(module, kBaseLayer);
  if (base_layer) module.remove_suffix(kBaseLayer.size());
  return {base_layer ? AdapterKey::Part::kBaseLayer : AdapterKey::Part::kWhole, std::string(module), std::string(name.substr(dot + 1))};
}

}  // namespace graft::io
