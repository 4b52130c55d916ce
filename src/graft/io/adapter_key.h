#pragma once

#include <string>
#include <string_view>

namespace graft::io {

/// What a tensor name in adapter_model.safetensors means (PEFT's naming, adapter name already stripped by PEFT).
struct AdapterKey {
  enum class Part {
    kA,            ///< <module>.lora_A.weight            [r, in]
    kB,            ///< <module>.lora_B.weight            [out, r]
    kEmbeddingA,   ///< <module>.lora_embedding_A         [r, rows]
    kEmbeddingB,   ///< <module>.lora_embedding_B         [width, r]
    kBaseLayer,    ///< <module>.base_layer.<parameter>   the adapted module's own bias or (embeddings) weight
    kWhole,        ///< <module>.<parameter>              trained whole: modules_to_save, or a bias
    kUnsupported,  ///< another lora_… tensor: DoRA's magnitude, a bias on B, token rows, …
    kForeign,      ///< does not begin with base_model.model.
  };
  Part part = Part::kForeign;
  std::string module;     ///< full path in the base model: "model.layers.0.self_attn.q_proj"
  std::string parameter;  ///< "weight", "bias", or the unsupported ending
};

AdapterKey parse_adapter_key(std::string_view tensor_name);

/// The tensor's name without ".modules_to_save", which PEFT leaves in when bias is "all" and under which it reads the same tensor. Empty
/// for the untrained original of such a module (".original_module."), which nobody loads.
std::string plain_adapter_key(std::string_view tensor_name);

}  // namespace graft::io
