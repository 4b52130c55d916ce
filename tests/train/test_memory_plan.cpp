#include "graft/train/memory_plan.h"

#include "support/catch.h"

using namespace graft::train;

namespace {

/// Llama-3.1-8B, LoRA rank 16 on all seven linears, 1 x 2048, bf16.
MemoryInputs llama_8b() {
  MemoryInputs in;
  in.layers = 32, in.hidden = 4096, in.intermediate = 14336, in.heads = 32, in.key_value_heads = 8, in.head_size = 128,
  in.vocabulary = 128256;
  in.total_parameters = 8030261248;
  in.dtype_bytes = 2;
  in.trainable_parameters = 41943040;
  in.ranks_per_layer = 7 * 16;
  in.micro_rows = 1, in.length = 2048;
  in.cuda = true;
  return in;
}

}  // namespace

TEST_CASE("the parts of a memory plan add up and have their plain sizes", "[train]") {
  const auto plan = plan_memory(llama_8b());
  CHECK(plan.weights == 8030261248 * 2);
  CHECK(plan.adapter == 41943040 * 4);
  CHECK(plan.optimizer == 41943040 * 8);
  int64_t sum = 0;
  for (const auto& [name, bytes] : plan.parts()) {
    CHECK(bytes > 0);
    sum += bytes;
  }
  CHECK(sum == plan.total());
}

TEST_CASE("what saves memory is predicted to save it", "[train]") {
  auto recomputed = llama_8b(), quantized = llama_8b(), longer = llama_8b(), full = llama_8b();
  recomputed.recompute_every = 1;
  quantized.quantized_parameters = 6979321856;  // the linears of the blocks
  quantized.quantized_bytes = 0.5 + 0.127 / 8;
  longer.length *= 2;
  full.full = true;
  full.trainable_parameters = full.total_parameters;
  full.trainable_bytes = 2;
  const auto plain = plan_memory(llama_8b());
  CHECK(plan_memory(recomputed).activations < plain.activations / 8);
  CHECK(plan_memory(quantized).weights < plain.weights * 36 / 100);
  CHECK(plan_memory(longer).activations == 2 * plain.activations);
  CHECK(plan_memory(full).optimizer == 8030261248 * 12);  // two moments and a float32 master
}
