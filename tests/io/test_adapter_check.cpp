#include "graft/io/adapter_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "files_for_tests.h"
#include "graft/base/error.h"
#include "support/catch.h"

using namespace graft::io;

namespace {

/// An adapter directory with A and B [r = 2] on one 4 x 6 linear layer, plus what a test adds.
struct AdapterOnDisk {
  ScratchDirectory scratch;
  std::string fields = R"("target_modules":["q_proj"],"r":2,"lora_alpha":4,"base_model_name_or_path":"b")";
  std::vector<TensorEntry> tensors = {{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", DType::kF32, {2, 6}, 0, 0},
                                      {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", DType::kF32, {4, 2}, 0, 0}};
  float value = 1;

  AdapterFacts facts() const {
    graft::write_file(scratch / "adapter_config.json", R"({"peft_type":"LORA",)" + fields + "}");
    SafetensorsWriter writer(scratch / "adapter_model.safetensors", tensors);
    for (const auto& tensor : writer.order()) {
      std::string bytes(tensor.end - tensor.begin, '\0');
      if (tensor.dtype == DType::kF32) std::memcpy(bytes.data(), &value, 4);
      writer.append(bytes);
    }
    writer.finish();
    return inspect_adapter(scratch.path());
  }
  /// "subject: why" of everything that blocks.
  std::string blockers(const std::string& consumer, const std::optional<AdapterBase>& base = std::nullopt) const {
    std::string text;
    const auto verdicts = check_adapter(facts(), {consumer}, base);
    for (const auto& finding : verdicts.at(0).findings)
      if (finding.blocks) text += finding.subject + ": " + finding.why + "\n";
    return text;
  }
};

const AdapterBase kBase{"llama", true, {{"model.layers.0.self_attn.q_proj", {4, 6}}, {"lm_head", {10, 6}}}};

}  // namespace

TEST_CASE("inspect reports modules, ranks, scales and sizes from the header", "[io]") {
  AdapterOnDisk adapter;
  adapter.fields += R"(,"use_rslora":true,"alpha_pattern":{"q_proj":8})";
  const auto facts = adapter.facts();
  REQUIRE(facts.modules.size() == 1);
  REQUIRE(facts.modules[0].name == "model.layers.0.self_attn.q_proj");
  REQUIRE(facts.modules[0].rank == 2);
  REQUIRE(facts.modules[0].scale == Approx(8 / std::sqrt(2.0)));
  REQUIRE(facts.parameters == 20);
  REQUIRE(facts.bytes == 80);
  REQUIRE(facts.problems.empty());
}

TEST_CASE("a plain adapter passes every consumer", "[io]") {
  const AdapterOnDisk adapter;
  for (const auto& consumer : adapter_consumers()) {
    INFO(consumer);
    REQUIRE(adapter.blockers(consumer, kBase) == "");
  }
}

TEST_CASE("tensors that do not fit together are named", "[io]") {
  const auto with = [](std::vector<TensorEntry> tensors) {
    AdapterOnDisk adapter;
    adapter.tensors = std::move(tensors);
    return adapter.blockers("peft", kBase);
  };
  const std::string module = "base_model.model.model.layers.0.self_attn.q_proj";
  REQUIRE_THAT(with({{module + ".lora_A.weight", DType::kF32, {2, 6}, 0, 0}}), Contains("B is missing"));
  REQUIRE_THAT(with({{module + ".lora_A.weight", DType::kF32, {2, 6}, 0, 0}, {module + ".lora_B.weight", DType::kF32, {4, 3}, 0, 0}}),
               Contains("different ranks"));
  REQUIRE_THAT(with({{module + ".lora_A.weight", DType::kF32, {3, 6}, 0, 0}, {module + ".lora_B.weight", DType::kF32, {4, 3}, 0, 0}}),
               Contains("3 in the file, 2 in adapter_config"));
  REQUIRE_THAT(with({{module + ".lora_A.weight", DType::kF32, {2, 5}, 0, 0}, {module + ".lora_B.weight", DType::kF32, {4, 2}, 0, 0}}),
               Contains("[4, 6]"));
  REQUIRE_THAT(with({{module + ".lora_A.weight", DType::kI8, {2, 6}, 0, 0}, {module + ".lora_B.weight", DType::kI8, {4, 2}, 0, 0}}),
               Contains("F32, F16 or BF16"));
  REQUIRE_THAT(with({{"model.q_proj.lora_A.weight", DType::kF32, {2, 6}, 0, 0}}), Contains("base_model.model."));
  REQUIRE_THAT(with({{module + ".lora_magnitude_vector", DType::kF32, {4}, 0, 0}}), Contains("not a tensor of plain LoRA"));
  REQUIRE_THAT(with({}), Contains("no tensor"));
}

TEST_CASE("a value that is not finite blocks", "[io]") {
  AdapterOnDisk adapter;
  adapter.value = INFINITY;
  REQUIRE_THAT(adapter.blockers("peft"), Contains("NaN or infinity"));
}

TEST_CASE("a scale that a consumer computes otherwise blocks it", "[io]") {
  AdapterOnDisk rslora, alphas;
  rslora.fields += R"(,"use_rslora":true)";
  REQUIRE(rslora.blockers("peft") == "");
  REQUIRE(rslora.blockers("vllm") == "");
  REQUIRE_THAT(rslora.blockers("llama.cpp"), Contains("use_rslora"));
  REQUIRE_THAT(rslora.blockers("sglang"), Contains("use_rslora"));
  alphas.fields += R"(,"alpha_pattern":{"q_proj":16})";
  REQUIRE_THAT(alphas.blockers("vllm"), Contains("alpha_pattern") && Contains("2 instead of 8"));
  REQUIRE_THAT(alphas.blockers("llama.cpp"), Contains("alpha_pattern"));
  REQUIRE(alphas.blockers("sglang") == "");
}

TEST_CASE("modules trained whole block the servers, not PEFT", "[io]") {
  AdapterOnDisk adapter;
  adapter.fields += R"(,"modules_to_save":["lm_head"])";
  adapter.tensors.push_back({"base_model.model.lm_head.weight", DType::kF32, {10, 6}, 0, 0});
  REQUIRE(adapter.blockers("peft") == "");
  REQUIRE_THAT(adapter.blockers("vllm"), Contains("modules_to_save") && Contains("lm_head.weight"));
  REQUIRE_THAT(adapter.blockers("llama.cpp"), Contains("lm_head.weight"));
  adapter.tensors.pop_back();
  REQUIRE_THAT(adapter.blockers("peft"), Contains("modules_to_save"));
}

TEST_CASE("a container that was trained whole, and the twin of a tied module, do not block PEFT", "[io]") {
  AdapterOnDisk container;
  container.fields += R"(,"modules_to_save":["mlp"])";
  container.tensors.push_back({"base_model.model.model.layers.0.mlp.gate_proj.weight", DType::kF32, {8, 6}, 0, 0});
  REQUIRE(container.blockers("peft") == "");
  AdapterOnDisk twin;
  twin.tensors.push_back({"base_model.model.lm_head.lora_A.weight", DType::kF32, {2, 6}, 0, 0});
  twin.tensors.push_back({"base_model.model.lm_head.lora_B.weight", DType::kF32, {10, 2}, 0, 0});
  REQUIRE_THAT(twin.blockers("peft"), Contains("does not target this module"));
  twin.fields += R"(,"ensure_weight_tying":true)";
  REQUIRE(twin.blockers("peft") == "");
}

TEST_CASE("modules_to_save names the end of a path, as in PEFT", "[io]") {
  AdapterOnDisk adapter;
  adapter.fields += R"(,"modules_to_save":["head"])";
  adapter.tensors.push_back({"base_model.model.lm_head.weight", DType::kF32, {10, 6}, 0, 0});
  REQUIRE(adapter.blockers("peft") == "");
  REQUIRE(adapter.facts().warnings.empty());
}

TEST_CASE("the second name and the untrained original of a module saved whole are no other tensors", "[io]") {
  AdapterOnDisk adapter;
  adapter.fields += R"(,"modules_to_save":["o_proj"],"bias":"all")";
  const std::string module = "base_model.model.model.layers.0.self_attn.o_proj";
  for (const char* ending : {".weight", ".bias", ".modules_to_save.bias", ".original_module.bias"})
    adapter.tensors.push_back({module + ending, DType::kF32, {4}, 0, 0});
  REQUIRE(adapter.blockers("peft") == "");
  REQUIRE(adapter.facts().whole.size() == 2);
  adapter.tensors.erase(adapter.tensors.begin() + 3);  // older files have the second name alone
  const auto facts = adapter.facts();
  REQUIRE(facts.problems.empty());
  REQUIRE(facts.whole.size() == 2);
  REQUIRE(facts.whole[0].key.module == "model.layers.0.self_attn.o_proj");
}

TEST_CASE("a tied embedding's twin has the embedding's rank and its own scale", "[io]") {
  AdapterOnDisk adapter;
  adapter.fields = R"("target_modules":["embed_tokens"],"r":4,"lora_alpha":4,"ensure_weight_tying":true,"rank_pattern":{"embed_tokens":2})";
  adapter.tensors = {{"base_model.model.model.embed_tokens.lora_embedding_A", DType::kF32, {2, 10}, 0, 0},
                     {"base_model.model.model.embed_tokens.lora_embedding_B", DType::kF32, {6, 2}, 0, 0},
                     {"base_model.model.lm_head.lora_A.weight", DType::kF32, {2, 6}, 0, 0},
                     {"base_model.model.lm_head.lora_B.weight", DType::kF32, {10, 2}, 0, 0}};
  REQUIRE(adapter.blockers("peft") == "");
  const auto facts = adapter.facts();
  REQUIRE(facts.modules[0].name == "lm_head");
  REQUIRE(facts.modules[0].scale == 1);
  REQUIRE(facts.modules[1].scale == 2);
}

TEST_CASE("vllm's rank limit is named with the flag to pass", "[io]") {
  AdapterOnDisk adapter;
  adapter.fields = R"("target_modules":["q_proj"],"r":48,"lora_alpha":4)";
  adapter.tensors[0].shape = {48, 6};
  adapter.tensors[1].shape = {4, 48};
  const auto verdict = check_adapter(adapter.facts(), {"vllm"}, std::nullopt).at(0);
  REQUIRE(verdict.ok());
  REQUIRE_THAT(verdict.findings.at(0).what_to_do, Contains("--max-lora-rank 64"));
}

TEST_CASE("an adapted output head that is tied blocks llama.cpp", "[io]") {
  AdapterOnDisk adapter;
  adapter.fields = R"("target_modules":["lm_head"],"r":2,"lora_alpha":4,"base_model_name_or_path":"b")";
  adapter.tensors = {{"base_model.model.lm_head.lora_A.weight", DType::kF32, {2, 6}, 0, 0},
                     {"base_model.model.lm_head.lora_B.weight", DType::kF32, {10, 2}, 0, 0}};
  REQUIRE_THAT(adapter.blockers("llama.cpp", kBase), Contains("tied"));
}

TEST_CASE("a targeted module without tensors blocks PEFT when the base is known", "[io]") {
  AdapterOnDisk adapter;
  adapter.fields = R"("target_modules":["q_proj","lm_head"],"r":2,"lora_alpha":4)";
  REQUIRE_THAT(adapter.blockers("peft", kBase), Contains("lm_head"));
}

TEST_CASE("an unknown consumer is a usage error with the nearest name", "[io]") {
  REQUIRE_THROWS_WITH(check_adapter(AdapterOnDisk().facts(), {"vlm"}, std::nullopt), Contains("vllm"));
}
