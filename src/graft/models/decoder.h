#pragma once

#include <torch/nn.h>

#include <filesystem>
#include <optional>

#include "graft/models/decoder_options.h"

namespace graft::models {

/// Where each row's documents lie, for packed rows. document_ids [rows, length] int32, -1 = padding; position_ids [rows, length].
struct Positions {
  at::Tensor position_ids;  ///< int64 [rows, length]; undefined: 0 … length-1 in every row
  at::Tensor document_ids;  ///< int32 [rows, length]; undefined: one document per row, no padding
};

/// Keys and values of every layer for generation.
struct KeyValueCache;

/// One decoder for every Llama-like family, made of plain torch::nn modules (Linear, Embedding, ModuleList) under Hugging Face's
/// names: model.embed_tokens, model.layers.N.{input_layernorm, self_attn.{q,k,v,o}_proj, post_attention_layernorm,
/// mlp.{gate,up,down}_proj}, model.norm, lm_head. It does not know that adapters exist.
class DecoderImpl : public torch::nn::Module {
 public:
  /// Parameters are uninitialised (torch::empty) and frozen; load_weights or initialize_weights fills them.
  explicit DecoderImpl(DecoderOptions options, at::TensorOptions tensor_options = {});

  /// ids int64 [rows, length] → logits [rows, length, vocabulary] in the model's dtype.
  at::Tensor forward(const at::Tensor& ids, const Positions& positions = {}, KeyValueCache* cache = nullptr);
  /// The last norm's output [rows, length, hidden]: what the chunked loss takes together with output_weight().
  at::Tensor hidden_states(const at::Tensor& ids, const Positions& positions = {}, KeyValueCache* cache = nullptr);
  /// The output head's weight [vocabulary, hidden], possibly adapted or tied.
  const at::Tensor& output_weight() const;
  const DecoderOptions& options() const { return options_; }

  /// Recompute every `every`-th block in backward instead of keeping its activations; 0 = none, 1 = all.
  void set_recompute(int64_t every);

 private:
  DecoderOptions options_;
  // …
};

}  // namespace graft::models
