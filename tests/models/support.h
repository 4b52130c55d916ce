#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>

#include "graft/models/decoder.h"
#include "graft/models/weights.h"
#include "support/catch.h"

/// A small decoder with random weights that are large enough for attention to matter.
namespace graft::testing {

inline models::DecoderOptions small_options() {
  models::DecoderOptions options;
  options.family = "llama";
  options.vocabulary_size = 61;
  options.hidden_size = 24;
  options.intermediate_size = 40;
  options.layers = 3;
  options.attention_heads = 4;
  options.key_value_heads = 2;
  options.head_size = 6;
  options.max_positions = options.rope.original_max_positions = 64;
  options.initializer_range = 0.2;
  return options;
}

inline models::Decoder small_decoder(const models::DecoderOptions& options = small_options(), at::ScalarType dtype = at::kFloat) {
  models::Decoder decoder(options, at::TensorOptions(dtype));
  models::initialize_weights(decoder, 5);
  return decoder;
}

inline at::Tensor random_ids(at::IntArrayRef shape) {
  return at::empty(shape, at::kLong).random_(0, 61, at::detail::createCPUGenerator(3));
}

inline double worst_difference(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace graft::testing
