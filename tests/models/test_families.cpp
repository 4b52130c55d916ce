#include <fstream>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/io/model_directory.h"
#include "graft/models/family.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace graft;
using models::RopeOptions;

namespace {

const char* kLlama = R"({"model_type": "llama", "vocab_size": 100, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3,
                         "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5})";

/// The Llama config above with `changes` merged in (null removes nothing: it is a value of its own), read as a directory.
models::DecoderOptions read(const std::string& changes = "{}", const std::string& generation = "") {
  const TemporaryDirectory directory;
  Json config = parse_json(kLlama, "test");
  config.update(parse_json(changes, "test"));
  std::ofstream(directory.path() / "config.json") << config.dump();
  if (!generation.empty()) std::ofstream(directory.path() / "generation_config.json") << generation;
  return models::read_decoder_options(io::ModelDirectory(directory.path(), io::ModelDirectory::Open::kConfigOnly));
}

std::string error_of(const std::string& changes) {
  try {
    read(changes);
  } catch (const Error& error) {
    REQUIRE(error.code() == ExitCode::kData);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a Llama config gives the decoder's options", "[models]") {
  const auto options = read(R"({"bos_token_id": 1, "eos_token_id": [2, 3], "torch_dtype": "bfloat16"})");
  REQUIRE(options.family == "llama");
  REQUIRE(options.head_size == 8);
  REQUIRE(options.key_value_heads == 2);
  REQUIRE(options.max_positions == 64);
  REQUIRE(options.dtype == "bfloat16");
  REQUIRE(options.eos_ids == std::vector<int32_t>{2, 3});
  REQUIRE(options.sliding_window.empty());
  REQUIRE_FALSE(options.tied_embeddings);
}

TEST_CASE("generation_config.json decides what ends a text", "[models]") {
  REQUIRE(read(R"({"eos_token_id": 2})", R"({"eos_token_id": [7, 2]})").eos_ids == std::vector<int32_t>{7, 2});
  REQUIRE(read(R"({"eos_token_id": 2})", "{}").eos_ids == std::vector<int32_t>{2});
}

TEST_CASE("both spellings of rope scaling mean the same", "[models]") {
  const auto old = read(R"({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4}})").rope;
  const auto current = read(R"({"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500000}})").rope;
  REQUIRE(old.type == RopeOptions::Type::kLinear);
  REQUIRE(current.type == old.type);
  REQUIRE(current.theta == old.theta);
  REQUIRE(current.factor == old.factor);
}

TEST_CASE("max_positions counts the rope scaling", "[models]") {
  REQUIRE(read(R"({"rope_scaling": {"type": "linear", "factor": 4}})").max_positions == 256);
  REQUIRE(read(R"({"rope_scaling": {"type": "dynamic", "factor": 2}})").max_positions == 128);
  REQUIRE(read(R"({"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 32}})").max_positions == 128);
  // Llama 3.1 writes the extended length into max_position_embeddings itself.
  REQUIRE(read(R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
                   "original_max_position_embeddings": 16}})")
              .max_positions == 64);
}

TEST_CASE("no key and null are different things for Mistral's window", "[models]") {
  REQUIRE(read(R"({"model_type": "mistral"})").sliding_window == std::vector<int64_t>(3, 4096));
  REQUIRE(read(R"({"model_type": "mistral", "sliding_window": null})").sliding_window.empty());
}

TEST_CASE("Qwen windows apply from max_window_layers on, and only when switched on", "[models]") {
  const std::string window = R"("model_type": "qwen2", "sliding_window": 16, "max_window_layers": 2)";
  REQUIRE(read("{" + window + "}").sliding_window.empty());
  REQUIRE(read("{" + window + R"(, "use_sliding_window": true})").sliding_window == std::vector<int64_t>{0, 0, 16});
  REQUIRE(read(R"({"model_type": "qwen3", "sliding_window": 16, "use_sliding_window": true,
                   "layer_types": ["sliding_attention", "full_attention", "full_attention"]})")
              .sliding_window == std::vector<int64_t>{16, 0, 0});
}

TEST_CASE("families differ in biases, head width and norms", "[models]") {
  const auto qwen2 = read(R"({"model_type": "qwen2"})"), qwen3 = read(R"({"model_type": "qwen3"})");
  REQUIRE((qwen2.qkv_bias && !qwen2.output_bias && !qwen2.query_key_norm));
  REQUIRE((!qwen3.qkv_bias && qwen3.query_key_norm && qwen3.head_size == 128));
  REQUIRE((read(R"({"attention_bias": true})").output_bias && read(R"({"mlp_bias": true})").mlp_bias));
}

TEST_CASE("what would change the maths is refused with the key's name", "[models]") {
  REQUIRE_THAT(error_of(R"({"attn_logit_softcapping": 50.0})"), Contains("attn_logit_softcapping"));
  REQUIRE_THAT(error_of(R"({"partial_rotary_factor": 0.5})"), Contains("partial_rotary_factor"));
  REQUIRE_THAT(error_of(R"({"hidden_act": "gelu"})"), Contains("gelu"));
  REQUIRE_THAT(error_of(R"({"rope_scaling": {"type": "longrope", "factor": 2}})"), Contains("longrope"));
  REQUIRE_THAT(error_of(R"({"rope_scaling": {"type": "linear", "factor": 2, "surprise": 3}})"), Contains("rope_scaling.surprise"));
  REQUIRE_THAT(error_of(R"({"layer_types": ["full_attention", "chunked_attention", "full_attention"]})"), Contains("chunked_attention"));
  REQUIRE_THAT(error_of(R"({"layer_types": ["full_attention"]})"), Contains("1 entries"));
  REQUIRE_THAT(error_of(R"({"num_local_experts": 8})"), Contains("num_local_experts"));
  REQUIRE_THAT(error_of(R"({"quantization_config": {"quant_method": "fp8"}})"), Contains("quantized"));
}

TEST_CASE("an unknown model_type names the nearest family", "[models]") {
  REQUIRE_THAT(error_of(R"({"model_type": "lama"})"), Contains("llama"));
  REQUIRE_THAT(error_of(R"({"model_type": "qwen3_moe"})"), Contains("qwen3"));
  REQUIRE_THAT(error_of(R"({"model_type": "mixtral"})"), Contains("mistral"));
  REQUIRE_THAT(error_of(R"({"model_type": 3})"), Contains("model_type"));
}

TEST_CASE("keys without effect are accepted", "[models]") {
  REQUIRE_NOTHROW(read(
      R"({"architectures": ["LlamaForCausalLM"], "_name_or_path": "x", "use_cache": true, "pretraining_tp": 2, "auto_map": {"A": "b.C"},
                           "attention_dropout": 0.0, "temperature": 0.6, "rope_interleaved": false, "use_mrope": false, "some_list": [], "note": "",
                           "id2label": {"0": "x"}, "rope_scaling": null, "quantization_config": null})"));
}

TEST_CASE("absurd sizes are refused before anything is allocated", "[models]") {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "max_position_embeddings", "head_dim"}) {
    for (const char* value : {"0", "-1", "4294967296", "9223372036854775807", "1e3", "1.5", "\"8\"", "true", "[1]"}) {
      INFO(key << " = " << value);
      REQUIRE_THAT(error_of(std::string("{\"") + key + "\": " + value + "}"), Contains(key));
    }
  }
  REQUIRE_THAT(error_of(R"({"num_attention_heads": 5})"), Contains("num_attention_heads"));
  REQUIRE_THAT(error_of(R"({"num_key_value_heads": 4})"), Contains("num_key_value_heads"));
  REQUIRE_THAT(error_of(R"({"rope_theta": 0})"), Contains("rope_theta"));
  REQUIRE_THAT(error_of(R"({"rms_norm_eps": -1})"), Contains("rms_norm_eps"));
  REQUIRE_THAT(error_of(R"({"rope_scaling": {"type": "linear", "factor": 0}})"), Contains("factor"));
}

TEST_CASE("parameter shapes and counts agree, tied head counted once", "[models]") {
  for (const char* changes : {"{}", R"({"tie_word_embeddings": true})", R"({"attention_bias": true, "mlp_bias": true})",
                              R"({"model_type": "qwen3", "head_dim": 10})"}) {
    const auto options = read(changes);
    int64_t sum = 0;
    for (const auto& [name, shape] : models::parameter_shapes(options)) sum += shape.size() == 2 ? shape[0] * shape[1] : shape[0];
    REQUIRE(models::parameter_count(options) == sum);
  }
  REQUIRE(models::linear_shapes(read()).back().first == "lm_head");
  REQUIRE(models::linear_shapes(read()).size() == 3 * 7 + 1);
}
