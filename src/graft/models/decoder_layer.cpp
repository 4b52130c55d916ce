#include "graft/models/decoder_layer.h"

#include <cmath>

#include "graft/models/bare_modules.h"
#include "graft/ops/attention.h"
#include "graft/ops/linear_operand.h"
#include "graft/ops/norm_gated_mlp.h"
#include "graft/ops/norm_linears.h"
#include "graft/ops/rms_norm.h"
#include "graft/ops/rotary.h"

namespace graft::models {
namespace {

ops::LinearParameters parameters_of(const torch::nn::Linear& linear) { return {linear->weight, linear->bias}; }

}  // namespace

RmsNormImpl::RmsNormImpl(int64_t width, double epsilon, const at::TensorOptions& options) : epsilon_(epsilon) {
  weight = register_parameter("weight", bare_parameter({width}, options), /*requires_grad=*/false);
}

at::Tensor RmsNormImpl::forward(const at::Tensor& input) { return ops::rms_norm(input, weight, epsilon_); }

SelfAttentionImpl::SelfAttentionImpl(const DecoderOptions& decoder, int64_t layer, const at::TensorOptions& options)
    : layer_(layer),
      head_size_(decoder.head_size),
      window_(decoder.sliding_window.empty() ? 0 : decoder.sliding_window[static_cast<size_t>(layer)]),
      o_proj_(bare_linear(decoder.attention_heads * head_size_, decoder.hidden_size, decoder.output_bias, options)) {
  const int64_t queries = decoder.attention_heads * head_size_, keys = decoder.key_value_heads * head_size_;
  const auto linears = bare_linears(decoder.hidden_size, {queries, keys, keys}, decoder.qkv_bias, options);
  q_proj_ = register_module("q_proj", linears[0]);
  k_proj_ = register_module("k_proj", linears[1]);
  v_proj_ = register_module("v_proj", linears[2]);
  register_module("o_proj", o_proj_);
  if (decoder.query_key_norm) {
    q_norm_ = register_module("q_norm", RmsNorm(head_size_, decoder.norm_epsilon, options));
    k_norm_ = register_module("k_norm", RmsNorm(head_size_, decoder.norm_epsilon, options));
  }
}

SelfAttentionImpl::Result SelfAttentionImpl::forward(const at::Tensor& input, const RmsNorm& norm, const ForwardContext& context) {
  const auto projected =
      ops::norm_linears(input, norm->weight, norm->epsilon(), {parameters_of(q_proj_), parameters_of(k_proj_), parameters_of(v_proj_)});
  const auto heads = [&](size_t i) { return projected.outputs[i].unflatten(-1, {-1, head_size_}); };
  auto query = heads(0), key = heads(1), value = heads(2);
  if (q_norm_) {
    query = q_norm_->forward(query);
    key = k_norm_->forward(key);
  }
  const auto &cos = context.rope.cos, &sin = context.rope.sin;
  if (projected.at_once && !q_norm_) {
    const auto turned = ops::rotary_side_by_side({query, key, value}, cos, sin);
    query = turned.query;
    key = turned.key;
    value = turned.value;
  } else {
    query = ops::rotary(query, cos, sin);
    key = ops::rotary(key, cos, sin);
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_size_));
  at::Tensor mixed;
  if (context.cache != nullptr && context.cache->length > 0) {
    context.cache->append(layer_, &key, &value);
    mixed = ops::attention_with_past(query, key, value, scale, window_);
  } else {
    mixed = ops::attention(query, key, value, context.documents, scale, window_);
    if (context.cache != nullptr) context.cache->append(layer_, &key, &value);
  }
  return {projected.residual, ops::apply_linear(parameters_of(o_proj_), mixed.flatten(-2))};
}

GatedMlpImpl::GatedMlpImpl(const DecoderOptions& decoder, const at::TensorOptions& options)
    : gate_proj_(bare_linear(decoder.hidden_size, decoder.intermediate_size, decoder.mlp_bias, options)),
      up_proj_(bare_linear(decoder.hidden_size, decoder.intermediate_size, decoder.mlp_bias, options)),
      down_proj_(bare_linear(decoder.intermediate_size, decoder.hidden_size, decoder.mlp_bias, options)) {
  register_module("gate_proj", gate_proj_);
  register_module("up_proj", up_proj_);
  register_module("down_proj", down_proj_);
}

at::Tensor GatedMlpImpl::forward(const at::Tensor& input, const at::Tensor& attended, const RmsNorm& norm, ops::Pass pass) {
  return ops::norm_gated_mlp(input, attended, norm->weight, norm->epsilon(),
                             {parameters_of(gate_proj_), parameters_of(up_proj_), parameters_of(down_proj_)}, pass);
}

DecoderLayerImpl::DecoderLayerImpl(const DecoderOptions& decoder, int64_t layer, const at::TensorOptions& options)
    : input_layernorm_(decoder.hidden_size, decoder.norm_epsilon, options),
      self_attn_(decoder, layer, options),
      post_attention_layernorm_(decoder.hidden_size, decoder.norm_epsilon, options),
      mlp_(decoder, options) {
  register_module("self_attn", self_attn_);
  register_module("mlp", mlp_);
  register_module("input_layernorm", input_layernorm_);
  register_module("post_attention_layernorm", post_attention_layernorm_);
}

at::Tensor DecoderLayerImpl::forward(const at::Tensor& input, const ForwardContext& context, ops::Pass pass) {
  const auto [residual, attended] = self_attn_->forward(input, input_layernorm_, context);
  return mlp_->forward(residual, attended, post_attention_layernorm_, pass);
}

}  // namespace graft::models
