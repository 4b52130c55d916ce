#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include "graft/models/decoder_options.h"
#include "graft/models/kv_cache.h"
#include "graft/models/rope.h"
#include "graft/ops/documents.h"
#include "graft/ops/recompute.h"

namespace graft::models {

/// What every layer of one forward pass shares. Recomputed blocks hold on to it until backward.
struct ForwardContext {
  ops::Documents documents;
  RopeTables rope;
  KeyValueCache* cache = nullptr;
};

/// y = x / rms(x) * weight (ops::rms_norm).
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(int64_t width, double epsilon, const at::TensorOptions& options);
  at::Tensor forward(const at::Tensor& input);
  double epsilon() const { return epsilon_; }
  at::Tensor weight;

 private:
  double epsilon_;
};
TORCH_MODULE(RmsNorm);

/// Grouped-query attention with rotary embedding over the normalised input; optional biases, per-head query and key norms, sliding window.
class SelfAttentionImpl : public torch::nn::Module {
 public:
  SelfAttentionImpl(const DecoderOptions& decoder, int64_t layer, const at::TensorOptions& options);
  /// What attention adds to `input`, and the input to add it to; the norm is applied on the way in (ops::norm_linears).
  struct Result {
    at::Tensor residual, attended;
  };
  Result forward(const at::Tensor& input, const RmsNorm& norm, const ForwardContext& context);

 private:
  int64_t layer_, head_size_, window_;
  torch::nn::Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, o_proj_;
  RmsNorm q_norm_{nullptr}, k_norm_{nullptr};
};
TORCH_MODULE(SelfAttention);

/// r + down(silu(gate(n)) * up(n)) with r = input + attended, n = norm(r).
class GatedMlpImpl : public torch::nn::Module {
 public:
  GatedMlpImpl(const DecoderOptions& decoder, const at::TensorOptions& options);
  at::Tensor forward(const at::Tensor& input, const at::Tensor& attended, const RmsNorm& norm, ops::Pass pass);

 private:
  torch::nn::Linear gate_proj_, up_proj_, down_proj_;
};
TORCH_MODULE(GatedMlp);

/// x + attention(norm(x)), then x + mlp(norm(x)).
class DecoderLayerImpl : public torch::nn::Module {
 public:
  DecoderLayerImpl(const DecoderOptions& decoder, int64_t layer, const at::TensorOptions& options);
  /// `pass`: whether the value returned is read (see ops::recompute).
  at::Tensor forward(const at::Tensor& input, const ForwardContext& context, ops::Pass pass = {});

 private:
  RmsNorm input_layernorm_;
  SelfAttention self_attn_;
  RmsNorm post_attention_layernorm_;
  GatedMlp mlp_;
};
TORCH_MODULE(DecoderLayer);

}  // namespace graft::models
