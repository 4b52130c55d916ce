#include "graft/io/adapter_config.h"

#include "files_for_tests.h"
#include "graft/base/error.h"
#include "support/catch.h"

using namespace graft::io;

namespace {

AdapterConfig parse(const std::string& fields, std::vector<std::string>* warnings = nullptr) {
  std::vector<std::string> ignored;
  return parse_adapter_config(R"({"peft_type":"LORA",)" + fields + "}", "adapter_config.json", warnings != nullptr ? warnings : &ignored);
}

}  // namespace

TEST_CASE("every supported field is read", "[io]") {
  const auto config = parse(
      R"("r":4,"lora_alpha":12.5,"lora_dropout":0.1,"use_rslora":true,"fan_in_fan_out":true,"bias":"lora_only","task_type":"CAUSAL_LM",)"
      R"("base_model_name_or_path":"b","init_lora_weights":"gaussian","target_modules":["q_proj"],"exclude_modules":"x.*","modules_to_save":["lm_head"],)"
      R"("layers_to_transform":3,"layers_pattern":"layers","rank_pattern":{"z":2,"a":3},"alpha_pattern":{"z":1.5})");
  REQUIRE(config.r == 4);
  REQUIRE(config.lora_alpha == 12.5);
  REQUIRE(config.use_rslora);
  REQUIRE(config.bias == "lora_only");
  REQUIRE(config.init_name == "gaussian");
  REQUIRE(std::get<std::string>(config.exclude_modules) == "x.*");
  REQUIRE(config.layers_to_transform == std::vector<int64_t>{3});
  REQUIRE(config.layers_pattern == std::vector<std::string>{"layers"});
  REQUIRE(config.rank_pattern == std::vector<std::pair<std::string, int64_t>>{{"z", 2}, {"a", 3}});  // the file's order
  REQUIRE(config.alpha_pattern == std::vector<std::pair<std::string, double>>{{"z", 1.5}});
}

TEST_CASE("what graft cannot do is refused by the field's name", "[io]") {
  for (const char* field :
       {R"("use_dora":true)", R"("lora_bias":true)", R"("trainable_token_indices":[1])", R"("target_parameters":["experts.w"])",
        R"("layer_replication":[[0,2]])", R"("alora_invocation_tokens":[5])", R"("megatron_config":{"a":1})", R"("use_qalora":true)",
        R"("arrow_config":{"top_k":3})", R"("use_bdlora":{"nblocks":2})", R"("velora_config":{"scale":1})", R"("kasa_config":{"beta":1})",
        R"("monteclora_config":{"num_samples":8})"}) {
    const std::string text = field;
    REQUIRE_THROWS_WITH(parse(text), Contains(text.substr(1, text.find('"', 1) - 1)));
  }
  REQUIRE_THROWS_WITH(parse_adapter_config(R"({"peft_type":"IA3"})", "f", nullptr), Contains("\"IA3\""));
}

TEST_CASE("malformed values are refused with the field and the value", "[io]") {
  for (const char* field : {R"("r":0)",
                            R"("r":-1)",
                            R"("r":4097)",
                            R"("r":"8")",
                            R"("r":8.0)",
                            R"("r":true)",
                            R"("lora_alpha":"x")",
                            R"("lora_dropout":1.5)",
                            R"("lora_dropout":-0.1)",
                            R"("bias":"some")",
                            R"("task_type":"X")",
                            R"("target_modules":[1])",
                            R"("target_modules":{})",
                            R"("rank_pattern":{"a":0})",
                            R"("rank_pattern":{"a":1.5})",
                            R"("rank_pattern":[1])",
                            R"("alpha_pattern":{"a":"1"})",
                            R"("layers_to_transform":"1")",
                            R"("layers_to_transform":[1.5])",
                            R"("use_rslora":1)",
                            R"("init_lora_weights":3)",
                            R"("target_modules":".*","layers_to_transform":[1])",
                            R"("layers_pattern":["layers"])"}) {
    INFO(field);
    REQUIRE_THROWS_AS(parse(field), graft::DataError);
  }
}

TEST_CASE("an unknown key and an initialisation that changed the base are warned about, defaults are not", "[io]") {
  std::vector<std::string> warnings;
  parse(
      R"("future_option":{"x":1},"future_off":false,"future_null":null,"future_empty":[],"loftq_config":{},"qalora_group_size":16,"megatron_core":"megatron.core",)"
      R"("auto_mapping":{"base_model_class":"A"},"peft_version":"0.14.0","revision":null,"init_lora_weights":"pissa_niter_4")",
      &warnings);
  REQUIRE(warnings.size() == 2);
  REQUIRE_THAT(warnings[0] + warnings[1], Contains("future_option") && Contains("pissa_niter_4"));
}

TEST_CASE("the nearest adapter is named when the directory holds it one level down", "[io]") {
  ScratchDirectory scratch;
  REQUIRE_THROWS_AS(read_adapter_config(scratch / "nowhere", nullptr), graft::UsageError);
  std::filesystem::create_directory(scratch / "customer");
  graft::write_file(scratch / "customer/adapter_config.json", R"({"peft_type":"LORA","r":2})");
  REQUIRE_THROWS_WITH(read_adapter_config(scratch.path(), nullptr), Contains("customer"));
  REQUIRE(read_adapter_config(scratch / "customer", nullptr).r == 2);
}

TEST_CASE("a malformed or runaway regular expression is a DataError", "[io]") {
  REQUIRE_THROWS_WITH(targets_module(parse(R"("target_modules":"(unclosed")"), "a"), Contains("malformed"));
  REQUIRE_THROWS_AS(targets_module(parse(R"("target_modules":"(a|aa)+")"), std::string(60, 'a') + "c"), graft::DataError);
  REQUIRE_THROWS_AS(rank_of(parse(R"("rank_pattern":{"[":2})"), "a"), graft::DataError);
}

TEST_CASE("a repetition without a lower bound begins at none, as in Python", "[io]") {
  const auto targets = [](const std::string& pattern, const std::string& path) {
    return targets_module(parse(R"("target_modules":")" + pattern + "\""), path);
  };
  for (const char* path : {"", "a", "aa"}) REQUIRE(targets("x\\\\.a{,2}", "x." + std::string(path)));
  REQUIRE_FALSE(targets("a{,2}", "aaa"));
  REQUIRE(targets("a{,}", "aaaa"));
  for (const char* literal : {"a{,b}", "a\\\\{,2}", "a[{],2}", "a[]{,]+2}"}) {
    INFO(literal);
    REQUIRE_FALSE(targets(literal, "aa"));
    REQUIRE(targets(literal, std::string(literal) == "a{,b}" ? "a{,b}" : "a{,2}"));
  }
}

TEST_CASE("what is written is read back the same", "[io]") {
  const auto text = to_json(parse(
      R"("r":4,"lora_alpha":8,"target_modules":["b","a"],"modules_to_save":["lm_head"],"rank_pattern":{"^a.b":2},"alpha_pattern":{"^a.b":0.5},"layers_to_transform":[1])"));
  std::vector<std::string> warnings;
  REQUIRE(to_json(parse_adapter_config(text, "f", &warnings)) == text);
  REQUIRE(warnings.empty());
  REQUIRE_THAT(text, Contains("\"lora_alpha\": 8,") && Contains("\"lora_dropout\": 0.0,"));
}
