#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace graft::models {

/// Rotary position embedding (Su et al. 2021) and its length extensions; reference formulas: transformers' modeling_rope_utils.
struct RopeOptions {
  enum class Type { kDefault, kLinear, kDynamic, kLlama3, kYarn } type = Type::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  int64_t original_max_positions = 0;  ///< positions the model was trained on; for dynamic: where scaling starts
  double low_frequency_factor = 1.0, high_frequency_factor = 4.0;     // llama3
  double beta_fast = 32.0, beta_slow = 1.0;                           // yarn
  double attention_factor = 0.0, mscale = 0.0, mscale_all_dim = 0.0;  // yarn; 0: not given
  bool truncate = true;                                               // yarn
};

/// Everything the one decoder needs to know. A family fills it from config.json; no LibTorch here, so that `plan` can use it.
struct DecoderOptions {
  std::string family;
  int64_t vocabulary_size = 0, hidden_size = 0, intermediate_size = 0, layers = 0;
  int64_t attention_heads = 0, key_value_heads = 0, head_size = 0;
  int64_t max_positions = 0;  ///< what the position encoding allows, rope scaling counted
  double norm_epsilon = 1e-6;
  double initializer_range = 0.02;  ///< standard deviation of random weights
  bool query_key_norm = false;      ///< RMSNorm over each head's query and key, before RoPE (Qwen3)
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool tied_embeddings = false;
  std::vector<int64_t> sliding_window;  ///< per layer: keys a query sees, itself included; 0 = all. Empty = 0 everywhere
  RopeOptions rope;
  std::string dtype = "float32";     ///< the config's: float32 | bfloat16 | float16
  std::vector<int32_t> eos_ids;      ///< what ends a generated text: generation_config.json's list, else config.json's
  int32_t bos_id = -1, pad_id = -1;  ///< -1: none
};

}  // namespace graft::models
