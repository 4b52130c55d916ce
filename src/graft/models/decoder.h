#pragma once

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include "graft/models/decoder_layer.h"
#include "graft/models/decoder_options.h"
#include "graft/models/kv_cache.h"
#include "graft/ops/linear_operand.h"

namespace graft::models {

/// Where each row's documents lie, for packed rows. Give document_ids on the host: it is needed there, once per forward.
struct Positions {
  at::Tensor position_ids;  ///< int64 or int32 [rows or 1, length]; undefined: counting from 0 in every document
  at::Tensor document_ids;  ///< int32 or int64 [rows, length], -1 = padding; undefined: one document per row, no padding
};

/// The decoder without its head: embedding, blocks, last norm. Hugging Face's "model".
class DecoderBodyImpl : public torch::nn::Module {
 public:
  DecoderBodyImpl(const DecoderOptions& options, const at::TensorOptions& tensor_options);
  torch::nn::Embedding embed_tokens{nullptr};
  torch::nn::ModuleList layers;
  RmsNorm norm{nullptr};
};
TORCH_MODULE(DecoderBody);

/// One decoder for every Llama-like family, made of plain torch::nn modules (Linear, Embedding, ModuleList) under Hugging Face's
/// names: model.embed_tokens, model.layers.N.{input_layernorm, self_attn.{q,k,v,o}_proj, post_attention_layernorm,
/// mlp.{gate,up,down}_proj}, model.norm, lm_head. It does not know that adapters exist.
class DecoderImpl : public torch::nn::Module {
 public:
  /// Parameters are uninitialised (torch::empty, in tensor_options' dtype and device) and frozen; load_weights or
  /// initialize_weights fills them. A tied head's weight is the embedding's tensor itself.
  explicit DecoderImpl(DecoderOptions options, at::TensorOptions tensor_options = {});

  /// ids int64 or int32 [rows, length] → logits [rows, length, vocabulary] in the model's dtype. Ids must lie in the vocabulary
  /// (check_ids does that on the host). With a cache: the ids follow what the cache holds, and the cache takes them in; then
  /// `positions` must be empty.
  at::Tensor forward(const at::Tensor& ids, const Positions& positions = {}, KeyValueCache* cache = nullptr);
  /// The last norm's output [rows, length, hidden]: what the chunked loss takes together with output_weight().
  at::Tensor hidden_states(const at::Tensor& ids, const Positions& positions = {}, KeyValueCache* cache = nullptr);
  /// The head on (a part of) what hidden_states returned: logits [..., vocabulary].
  at::Tensor logits(const at::Tensor& hidden) { return ops::apply_linear({lm_head_->weight, lm_head_->bias}, hidden); }
  /// The output head's weight [vocabulary, hidden], possibly adapted or tied.
  const at::Tensor& output_weight() const { return lm_head_->weight; }
  const DecoderOptions& options() const { return options_; }
  at::Device device() const { return model_->norm->weight.device(); }
  at::ScalarType dtype() const { return model_->norm->weight.scalar_type(); }

  /// Recompute every `every`-th block in backward instead of keeping its activations; 0 = none, 1 = all. Their inputs wait on the device,
  /// or in pinned host memory (ops/parked.h).
  enum class KeptInputs { kOnDevice, kOnHost };
  void set_recompute(int64_t every, KeptInputs inputs = KeptInputs::kOnDevice) {
    recompute_every_ = every;
    kept_inputs_ = inputs;
  }

 private:
  std::shared_ptr<const ForwardContext> context(const at::Tensor& ids, const Positions& positions, KeyValueCache* cache) const;

  /// The rotary frequencies on `device`; kept between forwards where they do not depend on the length.
  RopeFrequencies frequencies(int64_t longest, at::Device device) const;

  DecoderOptions options_;
  mutable RopeFrequencies frequencies_;
  DecoderBody model_;
  torch::nn::Linear lm_head_{nullptr};
  int64_t recompute_every_ = 0;
  KeptInputs kept_inputs_ = KeptInputs::kOnDevice;
};
TORCH_MODULE(Decoder);

/// DataError naming the first id outside 0 … vocabulary-1 (such an id would read past the embedding).
void check_ids(const std::vector<int32_t>& ids, int64_t vocabulary_size, const std::string& where);

}  // namespace graft::models
