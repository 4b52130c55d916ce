#include "graft/models/decoder.h"

#include <ATen/ops/arange.h>

#include <utility>

#include "graft/base/error.h"
#include "graft/models/bare_modules.h"
#include "graft/ops/recompute.h"

namespace graft::models {
namespace {

/// Number of positions of the longest sequence so far: what dynamic rope scaling depends on.
int64_t longest_sequence(const ops::Documents& documents, const at::Tensor& position_ids, int64_t past) {
  if (position_ids.defined()) return position_ids.numel() == 0 ? 0 : position_ids.max().item<int64_t>() + 1;
  return past + documents.length();
}

}  // namespace

DecoderBodyImpl::DecoderBodyImpl(const DecoderOptions& options, const at::TensorOptions& tensor_options) {
  embed_tokens = register_module("embed_tokens", bare_embedding(options.vocabulary_size, options.hidden_size, tensor_options));
  register_module("layers", layers);
  for (int64_t layer = 0; layer < options.layers; ++layer) layers->push_back(DecoderLayer(options, layer, tensor_options));
  norm = register_module("norm", RmsNorm(options.hidden_size, options.norm_epsilon, tensor_options));
}

DecoderImpl::DecoderImpl(DecoderOptions options, at::TensorOptions tensor_options)
    : options_(std::move(options)), model_(options_, tensor_options) {
  register_module("model", model_);
  if (options_.tied_embeddings) {
    lm_head_ = bare_linear(1, 1, /*bias=*/false, tensor_options);
    share_weight(*lm_head_, model_->embed_tokens->weight);
  } else {
    lm_head_ = bare_linear(options_.hidden_size, options_.vocabulary_size, /*bias=*/false, tensor_options);
  }
  register_module("lm_head", lm_head_);
}

std::shared_ptr<const ForwardContext> DecoderImpl::context(const at::Tensor& ids, const Positions& positions, KeyValueCache* cache) const {
  if (ids.dim() != 2) throw InternalError("the decoder takes ids [rows, length]");
  const int64_t past = cache != nullptr ? cache->length : 0;
  if (cache != nullptr && (positions.position_ids.defined() || positions.document_ids.defined())) {
    throw InternalError("generation with a cache takes plain rows, without positions or documents");
  }
  auto result = std::make_shared<ForwardContext>();
  result->cache = cache;
  result->documents = positions.document_ids.defined() ? ops::Documents::from_ids(positions.document_ids)
                                                       : ops::Documents::whole_rows(ids.size(0), ids.size(1));
  if (result->documents.rows() != ids.size(0) || result->documents.length() != ids.size(1)) {
    throw InternalError("document_ids and ids differ in shape");
  }
  auto position_ids = positions.position_ids.defined() ? positions.position_ids : result->documents.position_ids();
  int64_t longest = 0;
  if (options_.rope.type == RopeOptions::Type::kDynamic) longest = longest_sequence(result->documents, position_ids, past);
  if (!position_ids.defined()) position_ids = at::arange(past, past + ids.size(1), at::kLong).unsqueeze(0);
  result->rope = rope_tables(frequencies(longest, ids.device()), position_ids.to(ids.device()), dtype());
  return result;
}

RopeFrequencies DecoderImpl::frequencies(int64_t longest, at::Device device) const {
  if (options_.rope.type == RopeOptions::Type::kDynamic) return rope_frequencies(options_.rope, options_.head_size, longest);
  if (!frequencies_.inverse.defined()) frequencies_ = rope_frequencies(options_.rope, options_.head_size);
  frequencies_.inverse = frequencies_.inverse.to(device);
  return frequencies_;
}

at::Tensor DecoderImpl::hidden_states(const at::Tensor& ids, const Positions& positions, KeyValueCache* cache) {
  const auto shared = context(ids, positions, cache);
  auto hidden = model_->embed_tokens->forward(ids);
  ops::ParkedChain parked;
  auto* const chain = kept_inputs_ == KeptInputs::kOnHost ? &parked : nullptr;
  for (int64_t index = 0; index < options_.layers; ++index) {
    const auto layer = model_->layers->ptr<DecoderLayerImpl>(static_cast<size_t>(index));
    if (recompute_every_ > 0 && cache == nullptr && (index + 1) % recompute_every_ == 0) {
      hidden = ops::recompute([layer, shared](const at::Tensor& input, ops::Pass pass) { return layer->forward(input, *shared, pass); },
                              hidden, chain);
    } else {
      hidden = layer->forward(hidden, *shared);
    }
  }
  if (cache != nullptr) cache->length += ids.size(1);
  return model_->norm->forward(hidden);
}

at::Tensor DecoderImpl::forward(const at::Tensor& ids, const Positions& positions, KeyValueCache* cache) {
  return logits(hidden_states(ids, positions, cache));
}

void check_ids(const std::vector<int32_t>& ids, int64_t vocabulary_size, const std::string& where) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary_size) {
      throw DataError("token id " + std::to_string(ids[i]) + " at position " + std::to_string(i) +
                      " is outside of the model's vocabulary of " + std::to_string(vocabulary_size))
          .at(where)
          .hint("do the tokenizer and the model belong together?");
    }
  }
}

}  // namespace graft::models
