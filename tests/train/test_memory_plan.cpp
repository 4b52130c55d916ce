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

/// Llama-3.2-1B, the same.
MemoryInputs llama_1b() {
  MemoryInputs in = llama_8b();
  in.layers = 16, in.hidden = 2048, in.intermediate = 8192, in.head_size = 64;
  in.total_parameters = 1235814400;
  in.trainable_parameters = 11272192;
  return in;
}

}  // namespace

TEST_CASE("the parts of a memory plan add up and have their plain sizes", "[train]") {
  const auto plan = plan_memory(llama_8b());
  CHECK(plan.weights == 8030261248 * 2);
  CHECK(plan.adapter == 41943040 * (4 + 2));  // and copies in bf16
  CHECK(plan.optimizer == 41943040 * 8);
  auto kept = llama_8b();
  kept.start_kept = true;
  CHECK(plan_memory(kept).adapter == 41943040 * (4 + 4 + 2));
  int64_t sum = 0;
  for (const auto& [name, bytes] : plan.parts()) {
    CHECK(bytes >= 0);
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
  CHECK(plain.gradients == 0);                            // they arrive while activations leave
  CHECK(plan_memory(full).optimizer == 8030261248 * 12);  // two moments and a float32 master
  full.eight_bit_parameters = 8030261248;
  CHECK(plan_memory(full).optimizer == 8030261248 * 6 + 8030261248 / 32);  // a byte each, a maximum of 4 bytes for each of 256
}

TEST_CASE("offloaded inputs move from the device to pinned host memory, two of them stay", "[train]") {
  auto in = llama_8b();
  in.micro_rows = 3, in.recompute_every = 1;
  const auto kept = plan_memory(in);
  in.offload = true;
  const auto offloaded = plan_memory(in);
  const int64_t input = 3 * 2048 * 4096 * 2;
  CHECK(kept.activations == 32 * input);
  CHECK(offloaded.activations == 2 * input);
  CHECK(kept.total() - offloaded.total() == 30 * input);  // nothing else changes, and the host's part is not the device's
  CHECK(kept.pinned_host == 0);
  CHECK(offloaded.pinned_host == 32 * (int64_t{64} << 20));  // 48 MiB are taken as 64
  in.recompute_every = 20;
  CHECK(plan_memory(in).pinned_host == int64_t{64} << 20);  // one block
  in.recompute_every = 0;
  CHECK(plan_memory(in).pinned_host == 0);
  auto without = in;
  without.offload = false;
  CHECK(plan_memory(in).total() == plan_memory(without).total());
}

TEST_CASE("offloading lets less be recomputed", "[train]") {
  auto in = llama_8b();
  in.micro_rows = 4, in.recompute_every = 2, in.offload = true;
  const int64_t half_offloaded = plan_memory(in).total();
  CHECK(fitting_recompute(in, half_offloaded) == 2);
  in.offload = false;
  CHECK(fitting_recompute(in, half_offloaded) == 1);
}

TEST_CASE("the plan is within 5 % of what one H200 measured", "[train]") {
  // graft bench train, LoRA rank 16, fp32 masters: peak of allocated bytes.
  struct Measured {
    int64_t rows, length, rank, recompute;
    bool nf4;
    int64_t bytes;
  };
  const auto check = [](const Measured& m, MemoryInputs in, int64_t largest) {
    in.trainable_parameters = in.trainable_parameters / 16 * m.rank;
    in.ranks_per_layer = 7 * m.rank;
    in.micro_rows = m.rows, in.length = m.length, in.recompute_every = m.recompute;
    if (m.nf4) {
      in.quantized_parameters =
          in.total_parameters - in.vocabulary * in.hidden * (in.hidden == 4096 ? 2 : 1) - (2 * in.layers + 1) * in.hidden;
      in.quantized_bytes = 0.5 + 0.127 / 8;
      in.decoded_bytes = largest;
    }
    const double ratio = static_cast<double>(plan_memory(in).total()) / static_cast<double>(m.bytes);
    INFO(m.rows << " x " << m.length << " rank " << m.rank << " recompute " << m.recompute << " nf4 " << m.nf4 << ": predicted / measured "
                << ratio);
    CHECK(ratio > 0.95);
    CHECK(ratio < 1.05);
  };
  for (const Measured& measured : {Measured{4, 2048, 16, 0, false, 42302546944}, Measured{1, 8192, 16, 0, false, 42302596096},
                                   Measured{1, 512, 16, 0, false, 18413306880}, Measured{4, 2048, 16, 1, false, 19927215104},
                                   Measured{4, 2048, 16, 0, true, 31944664064}, Measured{4, 2048, 16, 1, true, 9619926016},
                                   Measured{2, 1024, 64, 0, false, 25387978752}, Measured{4, 2048, 256, 0, false, 52028089344},
                                   Measured{16, 2048, 16, 0, false, 117501109248}, Measured{16, 4096, 16, 2, true, 123238591488}})
    check(measured, llama_8b(), int64_t{14336} * 4096 * 2);
  for (const Measured& measured : {Measured{8, 2048, 16, 0, false, 17012970496}, Measured{1, 512, 16, 0, false, 3260584960},
                                   Measured{8, 2048, 16, 1, false, 5000240128}, Measured{16, 2048, 16, 0, true, 29356897280}})
    check(measured, llama_1b(), int64_t{8192} * 2048 * 2);
}

TEST_CASE("as little is recomputed as the budget allows", "[train]") {
  auto in = llama_8b();
  in.micro_rows = 4;
  const int64_t none = plan_memory(in).total();
  CHECK(fitting_recompute(in, none) == 0);
  CHECK(fitting_recompute(in, none - 1) == 8);
  CHECK(fitting_recompute(in, 0) == 1);
  in.recompute_every = 2;
  CHECK(fitting_recompute(in, plan_memory(in).total()) == 2);
}

TEST_CASE("a CUDA graph is recorded only where its memory fits beside that of other steps", "[train]") {
  auto in = llama_8b();
  const auto plan = plan_memory(in);
  const int64_t both = plan.total() + plan.activations + plan.loss_chunk + plan.backward;
  CHECK(graph_tokens(plan, 0, both - 1) == 0);
  CHECK(graph_tokens(plan, 0, both) > 1000000);
  CHECK(graph_tokens(plan, 1, both) == 4096);  // least memory was asked for: small steps only
  in.recompute_every = 1, in.offload = true;
  CHECK(graph_tokens(plan_memory(in), 1, both) == 0);
}
