#include "graft/app/bench_model.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/nn/init.h>

#include <algorithm>
#include <cmath>

#include "graft/adapters/attach.h"
#include "graft/adapters/frozen_module.h"
#include "graft/adapters/quantize.h"
#include "graft/app/device.h"
#include "graft/base/error.h"
#include "graft/base/random.h"
#include "graft/base/strings.h"
#include "graft/models/bare_modules.h"
#include "graft/models/family.h"
#include "graft/models/host_memory.h"

namespace graft::app {
namespace {

constexpr uint64_t kSeed = 42;

constexpr const char* kHead = "lm_head";

/// None for --quant none.
std::shared_ptr<const LinearFormat> format_of(const BenchOptions& options) {
  if (options.quant == "nf4") return std::make_shared<FourBitLinears>(Nf4Options().double_quant(true));
  if (options.quant == "fp8") return std::make_shared<Fp8Options>();
  return nullptr;
}

void check_host_memory(const models::DecoderOptions& shape, at::ScalarType dtype, const LinearFormat* format) {
  const auto width = static_cast<double>(at::elementSize(dtype));
  double needed = static_cast<double>(models::parameter_count(shape)) * width;
  for (const auto& [path, size] : models::linear_shapes(shape))
    if (format != nullptr && path != kHead) needed -= static_cast<double>(size[0] * size[1]) * (width - format->bytes_per_weight());
  const auto limit = static_cast<double>(models::host_memory_limit());
  if (limit == 0 || needed <= limit) return;
  throw UsageError("the model's weights take " + format_bytes(needed) + " but this machine gives the process " + format_bytes(limit))
      .hint("use a smaller --shape, --dtype bfloat16, or a GPU");
}

/// models::initialize_weights gives the same numbers on every device by drawing them one by one on the host: minutes for 8 billion.
void fill_on_device(models::Decoder& decoder) {
  const at::NoGradGuard no_gradients;
  at::manual_seed(kSeed);
  for (auto& item : decoder->named_parameters()) {
    if (models::is_weightless(item.value())) continue;
    if (ends_with(item.key(), ".bias"))
      item.value().zero_();
    else if (item.value().dim() == 1)
      item.value().fill_(1.0);
    else
      torch::nn::init::normal_(item.value(), 0.0, decoder->options().initializer_range);
  }
}

/// Draws each block's weights one at a time and keeps them quantized: memory holds the quantized model and one weight.
void quantize_weightless(models::Decoder& decoder, const LinearFormat& format, const at::TensorOptions& tensors) {
  const at::NoGradGuard no_gradients;
  for (const auto& item : decoder->named_modules()) {
    auto* linear = item.value()->as<torch::nn::LinearImpl>();
    if (linear == nullptr || !models::is_weightless(linear->weight)) continue;
    const at::Tensor weight =
        torch::nn::init::normal_(at::empty(linear->weight.sizes(), tensors), 0.0, decoder->options().initializer_range);
    if (item.key() == kHead) {
      models::share_weight(*linear, weight);
      continue;
    }
    detail::store_frozen(item.value(), item.key(), format.store(weight, item.key()).weight);
  }
}

/// Where the documents of a row end; the last one at the row's end.
std::vector<int64_t> document_ends(const BenchOptions& options, uint64_t row) {
  std::vector<int64_t> ends;
  RandomStream lengths(kSeed, "bench documents", row);
  for (int64_t end = 0; options.documents > 0 && end < options.sequence;) {
    end += 1 + static_cast<int64_t>(lengths.below(static_cast<uint64_t>(2 * options.documents - 1)));
    if (end < options.sequence) ends.push_back(end);
  }
  ends.push_back(options.sequence);
  return ends;
}

}  // namespace

models::Decoder make_bench_base(const models::DecoderOptions& shape, const BenchOptions& options, at::Device device, at::ScalarType dtype) {
  const auto format = format_of(options);
  if (device.is_cpu()) check_host_memory(shape, dtype, format.get());
  const auto tensors = at::TensorOptions(dtype).device(device);
  const models::WeightlessLinears scope(format != nullptr);
  models::Decoder decoder(shape, tensors);
  fill_on_device(decoder);
  if (format) quantize_weightless(decoder, *format, tensors);
  return decoder;
}

train::MemoryInputs bench_memory(const models::DecoderOptions& shape, const BenchOptions& options, at::Device device, at::ScalarType dtype,
                                 int64_t room) {
  const auto format = format_of(options);
  train::MemoryInputs in;
  in.layers = shape.layers, in.hidden = shape.hidden_size, in.intermediate = shape.intermediate_size;
  in.heads = shape.attention_heads, in.key_value_heads = shape.key_value_heads, in.head_size = shape.head_size;
  in.vocabulary = shape.vocabulary_size;
  in.total_parameters = models::parameter_count(shape);
  in.dtype_bytes = static_cast<int64_t>(at::elementSize(dtype));
  in.trainable_bytes = options.adapter_dtype == "fp32" ? 4 : 2;
  for (const auto& [path, size] : models::linear_shapes(shape)) {
    if (path == kHead) continue;
    in.trainable_parameters += options.rank * (size[0] + size[1]);
    in.ranks_per_layer += options.rank;
    if (!format) continue;
    in.quantized_parameters += size[0] * size[1];
    in.decoded_bytes = std::max(in.decoded_bytes, size[0] * size[1] * in.dtype_bytes);
  }
  if (format) in.quantized_bytes = format->bytes_per_weight();
  in.ranks_per_layer /= std::max<int64_t>(shape.layers, 1);
  in.micro_rows = options.batch, in.length = options.sequence;
  in.cuda = device.is_cuda();
  in.offload = options.offload;
  in.recompute_every = options.recompute == "full" ? 1 : options.recompute == "none" ? 0 : train::fitting_recompute(in, room);
  return in;
}

AdapterSet attach_bench_adapter(models::Decoder& decoder, const BenchOptions& options) {
  return attach(*decoder, LoraOptions(options.rank)
                              .alpha(2.0 * static_cast<double>(options.rank))
                              .dropout(options.dropout)
                              .dtype(resolve_dtype(options.adapter_dtype, at::kFloat))
                              .seed(kSeed)
                              .targets("all-linear"));
}

data::StepBatches bench_batches(const BenchOptions& options, int64_t vocabulary_size) {
  data::Batch batch;
  batch.rows = options.batch;
  batch.length = options.sequence;
  batch.tokens = options.batch * options.sequence;
  RandomStream stream(kSeed, "bench");
  // The first token of a row is never predicted.
  const auto supervised =
      std::clamp<int64_t>(std::llround(options.supervised * static_cast<double>(options.sequence)), 1, options.sequence - 1);
  for (int64_t row = 0; row < options.batch; ++row) {
    const auto ends = document_ends(options, static_cast<uint64_t>(row));
    int32_t document = 0, position = 0;
    for (int64_t i = 0; i < options.sequence; ++i, ++position) {
      if (i == ends[static_cast<size_t>(document)]) ++document, position = 0;
      const auto id = static_cast<int32_t>(stream.below(static_cast<uint64_t>(vocabulary_size)));
      const bool predicted = i >= options.sequence - supervised && position > 0;
      batch.ids.push_back(id);
      batch.labels.push_back(predicted ? id : -100);
      batch.position_ids.push_back(position);
      batch.document_ids.push_back(document);
      batch.supervised_tokens += predicted ? 1 : 0;
    }
  }
  data::StepBatches step;
  step.micro_batches.push_back(std::move(batch));
  return step;
}

}  // namespace graft::app
