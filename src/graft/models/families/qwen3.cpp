#include "graft/models/families/list.h"
#include "graft/models/family_config.h"

namespace graft::models {

// Qwen3: Llama's block with an RMSNorm on each head's query and key, and no biases unless attention_bias asks for them.
// Source: transformers' Qwen3Config; "Qwen3 Technical Report" (arXiv:2505.09388), section 2.
Family qwen3_family() {
  return {"qwen3", {"qwen3"}, [](io::ConfigReader& config, DecoderOptions& decoder) {
            if (!is_present(config, "head_dim")) decoder.head_size = 128;
            read_llama_block(config, &decoder, /*default_key_value_heads=*/32, /*default_max_positions=*/32768);
            decoder.query_key_norm = true;
            decoder.qkv_bias = decoder.output_bias = config.boolean_or("attention_bias", false);
            read_qwen_windows(config, &decoder);
          }};
}

}  // namespace graft::models
