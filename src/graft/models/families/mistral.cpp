#include "graft/models/families/list.h"
#include "graft/models/family_config.h"

namespace graft::models {

// Mistral 7B, Nemo, Small (text) and Ministral: Llama's block, no biases, a sliding window on every layer unless it is null;
// Ministral names the sliding layers. Source: transformers' MistralConfig and MinistralConfig; "Mistral 7B" (arXiv:2310.06825).
Family mistral_family() {
  return {"mistral", {"mistral", "ministral"}, [](io::ConfigReader& config, DecoderOptions& decoder) {
            read_llama_block(config, &decoder, /*default_key_value_heads=*/8, /*default_max_positions=*/131072);
            const int64_t absent = is_present(config, "sliding_window") ? 0 : 4096;  // null is "none", no key is the first release's
            read_layer_windows(config, &decoder, config.integer_or("sliding_window", absent, 1, int64_t{1} << 31), 0);
          }};
}

}  // namespace graft::models
