#include "graft/models/families/list.h"
#include "graft/models/family_config.h"

namespace graft::models {

// Qwen2 and Qwen2.5: Llama's block with biases on query, key and value; a sliding window on the last layers when switched on.
// Source: transformers' Qwen2Config; "Qwen2 Technical Report" (arXiv:2407.10671), section 2.2.
Family qwen2_family() {
  return {"qwen2", {"qwen2"}, [](io::ConfigReader& config, DecoderOptions& decoder) {
            read_llama_block(config, &decoder, /*default_key_value_heads=*/32, /*default_max_positions=*/32768);
            decoder.qkv_bias = true;
            read_qwen_windows(config, &decoder);
          }};
}

void read_qwen_windows(const io::ConfigReader& config, DecoderOptions* decoder) {
  const int64_t window = config.integer_or("sliding_window", is_present(config, "sliding_window") ? 0 : 4096, 1, int64_t{1} << 31);
  const int64_t first = config.integer_or("max_window_layers", 28, 0, int64_t{1} << 31);
  read_layer_windows(config, decoder, config.boolean_or("use_sliding_window", false) ? window : 0, first);
}

}  // namespace graft::models
