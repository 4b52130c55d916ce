#include "graft/app/bench_model.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "graft/adapters/attach.h"
#include "graft/app/device.h"
#include "graft/base/error.h"
#include "graft/base/random.h"
#include "graft/base/strings.h"
#include "graft/models/family.h"
#include "graft/models/host_memory.h"

namespace graft::app {
namespace {

constexpr uint64_t kSeed = 42;

void check_host_memory(const models::DecoderOptions& shape, at::ScalarType dtype) {
  const double needed = static_cast<double>(models::parameter_count(shape)) * static_cast<double>(at::elementSize(dtype));
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
    if (ends_with(item.key(), ".bias"))
      item.value().zero_();
    else if (item.value().dim() == 1)
      item.value().fill_(1.0);
    else
      item.value().normal_(0.0, decoder->options().initializer_range);
  }
}

}  // namespace

models::Decoder make_bench_base(const models::DecoderOptions& shape, const BenchOptions& options, at::Device device, at::ScalarType dtype) {
  if (options.quant != "none")
    throw UsageError("--quant " + options.quant + ": this version does not train on a quantized base").hint("use --quant none");
  if (options.recompute == "auto")
    throw UsageError("--recompute auto: this version does not choose by itself what to recompute").hint("use --recompute none or full");
  if (device.is_cpu()) check_host_memory(shape, dtype);
  models::Decoder decoder(shape, at::TensorOptions(dtype).device(device));
  fill_on_device(decoder);
  decoder->set_recompute(options.recompute == "full" ? 1 : 0);
  return decoder;
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
    for (int64_t i = 0; i < options.sequence; ++i) {
      const auto id = static_cast<int32_t>(stream.below(static_cast<uint64_t>(vocabulary_size)));
      batch.ids.push_back(id);
      batch.labels.push_back(i >= options.sequence - supervised ? id : -100);
      batch.position_ids.push_back(static_cast<int32_t>(i));
      batch.document_ids.push_back(0);
    }
  }
  batch.supervised_tokens = options.batch * supervised;
  data::StepBatches step;
  step.micro_batches.push_back(std::move(batch));
  return step;
}

}  // namespace graft::app
