#include "graft/models/families/list.h"
#include "graft/models/family_config.h"

namespace graft::models {

// Llama 1 to 3.3 and everything saved as such: TinyLlama, SmolLM and SmolLM2, Yi, Vicuna, CodeLlama, DeepSeek LLM, …
// Source: transformers' LlamaConfig and "The Llama 3 Herd of Models" (arXiv:2407.21783), section 3.2.
Family llama_family() {
  return {"llama", {"llama"}, [](io::ConfigReader& config, DecoderOptions& decoder) {
            read_llama_block(config, &decoder, /*default_key_value_heads=*/0, /*default_max_positions=*/2048);
            decoder.qkv_bias = decoder.output_bias = config.boolean_or("attention_bias", false);
            decoder.mlp_bias = config.boolean_or("mlp_bias", false);
            read_layer_windows(config, &decoder, /*window=*/0, 0);
          }};
}

}  // namespace graft::models
