#pragma once

#include <cstdint>

#include "graft/adapters/adapter_set.h"
#include "graft/app/job.h"
#include "graft/data/batch.h"
#include "graft/models/decoder.h"
#include "graft/train/memory_plan.h"

namespace graft::app {

/// The frozen base of a benchmark: random weights drawn on the device (matrices normal(0, initializer_range), norms 1, biases 0), with the
/// quantization (nf4: with double quantization, each weight drawn, quantized and let go) that the options ask for.
/// UsageError for what this version does not do, and for a model larger than the host's memory, before anything is allocated. The only
/// place where options.quant takes effect.
models::Decoder make_bench_base(const models::DecoderOptions& shape, const BenchOptions& options, at::Device device, at::ScalarType dtype);

/// What the memory plan takes for this benchmark, with the recompute that options.recompute comes to in `room` bytes.
train::MemoryInputs bench_memory(const models::DecoderOptions& shape, const BenchOptions& options, at::Device device, at::ScalarType dtype,
                                 int64_t room);

/// LoRA on all seven linears of each block, alpha = 2 · rank.
AdapterSet attach_bench_adapter(models::Decoder& decoder, const BenchOptions& options);

/// One optimizer step: a single micro-batch of random token ids without padding; the last `supervised` share of each row carries loss.
data::StepBatches bench_batches(const BenchOptions& options, int64_t vocabulary_size);

}  // namespace graft::app
