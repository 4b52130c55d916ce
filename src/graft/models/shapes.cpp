#include "graft/models/family.h"

namespace graft::models {
namespace {

using Shapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

/// A Linear of a block: its name below "model.layers.N.", its shape [out, in], whether it has a bias.
struct BlockLinear {
  const char* name;
  int64_t out, in;
  bool bias;
};

std::vector<BlockLinear> block_linears(const DecoderOptions& o) {
  const int64_t query = o.attention_heads * o.head_size, key = o.key_value_heads * o.head_size;
  return {
      {"self_attn.q_proj", query, o.hidden_size, o.qkv_bias},
      {"self_attn.k_proj", key, o.hidden_size, o.qkv_bias},
      {"self_attn.v_proj", key, o.hidden_size, o.qkv_bias},
      {"self_attn.o_proj", o.hidden_size, query, o.output_bias},
      {"mlp.gate_proj", o.intermediate_size, o.hidden_size, o.mlp_bias},
      {"mlp.up_proj", o.intermediate_size, o.hidden_size, o.mlp_bias},
      {"mlp.down_proj", o.hidden_size, o.intermediate_size, o.mlp_bias},
  };
}

std::string block_prefix(int64_t layer) { return "model.layers." + std::to_string(layer) + "."; }

}  // namespace

Shapes parameter_shapes(const DecoderOptions& options) {
  Shapes shapes{{"model.embed_tokens.weight", {options.vocabulary_size, options.hidden_size}}};
  const auto linears = block_linears(options);
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    const auto prefix = block_prefix(layer);
    for (const auto& linear : linears) {
      shapes.push_back({prefix + linear.name + ".weight", {linear.out, linear.in}});
      if (linear.bias) shapes.push_back({prefix + linear.name + ".bias", {linear.out}});
    }
    if (options.query_key_norm) {
      for (const char* name : {"self_attn.q_norm.weight", "self_attn.k_norm.weight"})
        shapes.push_back({prefix + name, {options.head_size}});
    }
    for (const char* name : {"input_layernorm.weight", "post_attention_layernorm.weight"})
      shapes.push_back({prefix + name, {options.hidden_size}});
  }
  shapes.push_back({"model.norm.weight", {options.hidden_size}});
  if (!options.tied_embeddings) shapes.push_back({"lm_head.weight", {options.vocabulary_size, options.hidden_size}});
  return shapes;
}

int64_t parameter_count(const DecoderOptions& options) {
  // By layer, not by listing: the caller may only want to know that a model is too large.
  const int64_t embedding = options.vocabulary_size * options.hidden_size;
  int64_t block = 2 * options.hidden_size + (options.query_key_norm ? 2 * options.head_size : 0);
  for (const auto& linear : block_linears(options)) block += linear.out * linear.in + (linear.bias ? linear.out : 0);
  return embedding * (options.tied_embeddings ? 1 : 2) + options.layers * block + options.hidden_size;
}

Shapes linear_shapes(const DecoderOptions& options) {
  Shapes shapes;
  const auto linears = block_linears(options);
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    for (const auto& linear : linears) shapes.push_back({block_prefix(layer) + linear.name, {linear.out, linear.in}});
  }
  shapes.push_back({"lm_head", {options.vocabulary_size, options.hidden_size}});
  return shapes;
}

}  // namespace graft::models
