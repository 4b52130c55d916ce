#include "graft/app/memory_advice.h"

#include <algorithm>

#include "support/catch.h"

using namespace graft;
using namespace graft::app;

namespace {

constexpr int64_t kGibibyte = int64_t{1} << 30;

/// Llama-3.1-8B, LoRA rank 16 on all seven linears, 4 x 2048, bf16 on a GPU.
MemorySituation llama_8b() {
  MemorySituation situation;
  auto& in = situation.inputs;
  in.layers = 32, in.hidden = 4096, in.intermediate = 14336, in.heads = 32, in.key_value_heads = 8, in.head_size = 128;
  in.vocabulary = 128256, in.total_parameters = 8030261248;
  in.trainable_parameters = 41943040, in.ranks_per_layer = 7 * 16;
  in.micro_rows = 4, in.length = 2048, in.cuda = true;
  situation.phase = MemorySituation::Phase::kStep;
  situation.step = 3;
  situation.device = "cuda:0";
  situation.room = 36 * kGibibyte;
  return situation;
}

std::vector<std::string> settings(const MemorySituation& situation) {
  std::vector<std::string> names;
  for (const auto& remedy : memory_remedies(situation)) names.push_back(remedy.setting);
  return names;
}

MemoryRemedy remedy(const std::vector<MemoryRemedy>& remedies, const std::string& beginning) {
  const auto found = std::find_if(remedies.begin(), remedies.end(), [&](const auto& r) { return r.setting.rfind(beginning, 0) == 0; });
  REQUIRE(found != remedies.end());
  return *found;
}

bool offers(const MemorySituation& situation, const std::string& beginning) {
  const auto names = settings(situation);
  return std::any_of(names.begin(), names.end(), [&](const auto& name) { return name.rfind(beginning, 0) == 0; });
}

}  // namespace

TEST_CASE("remedies save what the plan says they save", "[app]") {
  const auto situation = llama_8b();
  const int64_t now = train::plan_memory(situation.inputs).total();
  const auto remedies = memory_remedies(situation);

  auto recomputed = situation.inputs;
  recomputed.recompute_every = 1;
  const auto recompute = remedy(remedies, "memory.checkpointing: full");
  CHECK(recompute.saves == now - train::plan_memory(recomputed).total());
  CHECK(recompute.saves > 20 * kGibibyte);
  // Two more of four operations in the blocks, none in the head: 1 - 30.0 / 44.0.
  CHECK(recompute.cost == Approx(0.317).margin(0.005));

  const auto four_bits = remedy(remedies, "quant.type: nf4");
  CHECK(four_bits.saves > 9 * kGibibyte);  // 13 GiB of linears to 3.4, less one decoded matrix
  CHECK(four_bits.cost == Approx(160.0 / 8192));

  auto halved = situation.inputs;
  halved.micro_rows = 2, halved.micro_batches = 2;
  CHECK(remedy(remedies, "batch.micro_sequences: 2").saves == now - train::plan_memory(halved).total());
}

TEST_CASE("what is enough comes first, and the cheapest of that", "[app]") {
  auto situation = llama_8b();
  const int64_t now = train::plan_memory(situation.inputs).total();
  situation.room = now - 5 * kGibibyte;
  auto remedies = memory_remedies(situation);
  REQUIRE(remedies.size() >= 3);
  for (size_t i = 1; i < remedies.size(); ++i) {
    CHECK_FALSE((remedies[i].is_enough && !remedies[i - 1].is_enough));
    if (remedies[i].is_enough) CHECK(remedies[i].cost >= remedies[i - 1].cost);
  }
  CHECK(remedies[0].is_enough);
  CHECK(remedies[0].saves >= 5 * kGibibyte);

  situation.room = now - 20 * kGibibyte;  // only recomputing all of it is enough
  remedies = memory_remedies(situation);
  CHECK(remedies[0].setting == "memory.checkpointing: full");
  CHECK(remedies[0].is_enough);
  CHECK_FALSE(remedies[1].is_enough);
}

TEST_CASE("only what applies and is not set is offered", "[app]") {
  auto situation = llama_8b();
  situation.inputs.recompute_every = 1;
  CHECK_FALSE(offers(situation, "memory.checkpointing"));
  situation.inputs.micro_rows = 1;
  CHECK_FALSE(offers(situation, "batch.micro_sequences"));
  situation.inputs.quantized_parameters = 6979321600;
  CHECK_FALSE(offers(situation, "quant.type"));
  CHECK_FALSE(offers(situation, "model.dtype"));
  situation.inputs.dtype_bytes = 4;
  CHECK(offers(situation, "model.dtype: bf16"));
  CHECK(offers(situation, "model.max_length: 1024"));
  situation.inputs.length = 128;
  CHECK_FALSE(offers(situation, "model.max_length"));

  auto full = llama_8b();
  full.inputs.full = true, full.inputs.trainable_parameters = full.inputs.total_parameters, full.inputs.trainable_bytes = 2;
  CHECK(offers(full, "adapter.type: lora"));
  CHECK_FALSE(offers(full, "quant.type"));
  CHECK_FALSE(offers(full, "adapter.dtype"));

  auto bench = llama_8b();
  bench.bench = true;
  CHECK(offers(bench, "--recompute full"));
  CHECK(offers(bench, "--batch 2"));
  CHECK(offers(bench, "--seq 1024"));
  for (const auto& name : settings(bench)) CHECK(name.rfind("--", 0) == 0);
}

TEST_CASE("offloading is offered where all is recomputed and a GPU holds the inputs", "[app]") {
  auto situation = llama_8b();
  CHECK_FALSE(offers(situation, "memory.offload_activations"));
  situation.inputs.recompute_every = 1;
  const auto remedies = memory_remedies(situation);
  const auto& offload = remedy(remedies, "memory.offload_activations: true");
  CHECK(offload.saves == 30 * int64_t{4 * 2048 * 4096 * 2});  // all but two
  CHECK_THAT(offload.price, Contains("2.00 GiB of pinned host memory"));
  situation.bench = true;
  CHECK(offers(situation, "--offload"));
  situation.phase = MemorySituation::Phase::kEvaluation;
  CHECK_FALSE(offers(situation, "--offload"));
  situation.phase = MemorySituation::Phase::kStep;
  situation.inputs.cuda = false;
  CHECK_FALSE(offers(situation, "--offload"));
  situation.inputs.cuda = true, situation.inputs.offload = true;
  CHECK_FALSE(offers(situation, "--offload"));
}

TEST_CASE("a phase is helped only by what it holds", "[app]") {
  auto loading = llama_8b();
  loading.phase = MemorySituation::Phase::kLoading;
  loading.room = 10 * kGibibyte;
  CHECK(settings(loading) == std::vector<std::string>{"quant.type: nf4"});  // no activations yet
  auto evaluation = llama_8b();
  evaluation.phase = MemorySituation::Phase::kEvaluation;
  CHECK_FALSE(offers(evaluation, "memory.checkpointing"));  // nothing is kept for a backward
  CHECK(parts_in_phase(evaluation)[0].first == "weights");
}

TEST_CASE("the message has the phase, the parts, what was free and three ways out", "[app]") {
  const auto situation = llama_8b();
  const std::string text = out_of_memory(situation, "CUDA out of memory. Tried to allocate 2.00 GiB.\nException raised").what();
  CHECK_THAT(text, Contains("out of memory on cuda:0 in forward or backward of step 3"));
  CHECK_THAT(text, Contains("activations 2") && Contains("weights 15.0 GiB"));
  CHECK_THAT(text, Contains("the device had 36.0 GiB"));
  CHECK_THAT(text, Contains("Tried to allocate 2.00 GiB.") && !Contains("Exception raised"));
  CHECK_THAT(text, Contains("1. ") && Contains("2. ") && Contains("3. ") && !Contains("4. "));
  CHECK_THAT(text, Contains("memory.checkpointing: full saves 2"));
  CHECK(out_of_memory(situation, "").code() == ExitCode::kInternal);

  auto roomy = situation;
  roomy.room = 200 * kGibibyte;
  CHECK_THAT(std::string(out_of_memory(roomy, "").what()), Contains("another process"));
  auto saving = situation;
  saving.phase = MemorySituation::Phase::kSaving;
  CHECK_THAT(std::string(out_of_memory(saving, "").what()), Contains("while saving after step 3"));
}
