#include "graft/models/weights.h"

#include <fstream>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/io/tensor_file.h"
#include "graft/models/load.h"
#include "graft/models/save.h"
#include "models/support.h"
#include "support/temporary_directory.h"

using namespace graft;
using namespace graft::testing;

namespace {

using Tensors = std::vector<std::pair<std::string, at::Tensor>>;

Tensors tensors_of(const models::Decoder& decoder) {
  Tensors result;
  for (const auto& item : decoder->named_parameters()) result.emplace_back(item.key(), item.value());
  return result;
}

void write_model(const std::filesystem::path& directory, const Tensors& tensors, bool tied = false) {
  std::ofstream(directory / "config.json") << R"({"model_type": "llama", "vocab_size": 61, "hidden_size": 24, "intermediate_size": 40,
      "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": )"
                                           << (tied ? "true" : "false") << "}";
  io::save_tensors(directory / "model.safetensors", tensors);
}

std::string error_of(const std::filesystem::path& directory) {
  try {
    load_model(directory);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a saved model is loaded to the bit, and cast when asked", "[models]") {
  const TemporaryDirectory directory;
  const auto original = small_decoder();
  write_model(directory.path(), tensors_of(original));
  const auto loaded = load_model(directory.path());
  const auto expected = original->named_parameters(), ours = loaded->named_parameters();
  for (const auto& item : expected) REQUIRE(at::equal(ours[item.key()], item.value()));
  LoadOptions half;
  half.dtype = at::kBFloat16;
  const auto cast = load_model(directory.path(), half)->named_parameters();
  for (const auto& item : expected) REQUIRE(at::equal(cast[item.key()], item.value().to(at::kBFloat16)));
}

TEST_CASE("what save_model writes, load_model reads, in the dtype it was written in", "[models]") {
  const TemporaryDirectory source, target;
  auto options = small_options();
  options.tied_embeddings = true;
  Tensors tensors;
  for (const auto& [name, tensor] : tensors_of(small_decoder(options))) {
    if (name != "lm_head.weight") tensors.emplace_back(name, tensor);
  }
  write_model(source.path(), tensors, /*tied=*/true);
  LoadOptions half;
  half.dtype = at::kBFloat16;
  const auto original = load_model(source.path(), half);
  save_model(original, target.path(), read_file(source.path() / "config.json"));
  const auto again = load_model(target.path());
  REQUIRE(again->dtype() == at::kBFloat16);
  const auto expected = original->named_parameters(), ours = again->named_parameters();
  for (const auto& item : expected) REQUIRE(at::equal(ours[item.key()], item.value()));
}

TEST_CASE("missing, left-over and mis-shaped tensors are all named in one error", "[models]") {
  const TemporaryDirectory directory;
  auto tensors = tensors_of(small_decoder());
  for (auto& [name, tensor] : tensors) {
    if (name == "model.layers.1.mlp.up_proj.weight") name = "model.layers.1.mlp.up_prj.weight";
    if (name == "model.norm.weight") tensor = at::ones({25});
  }
  write_model(directory.path(), tensors);
  const auto error = error_of(directory.path());
  REQUIRE_THAT(error, Contains("missing: model.layers.1.mlp.up_proj.weight"));
  REQUIRE_THAT(error, Contains("left over: model.layers.1.mlp.up_prj.weight"));
  REQUIRE_THAT(error, Contains("model.norm.weight is [25] but config.json implies [24]"));
}

TEST_CASE("weights stored as integers are refused by name and type", "[models]") {
  const TemporaryDirectory directory;
  auto tensors = tensors_of(small_decoder());
  tensors[0].second = at::zeros(tensors[0].second.sizes(), at::kChar);
  write_model(directory.path(), tensors);
  REQUIRE_THAT(error_of(directory.path()), Contains(tensors[0].first) && Contains("I8"));
}

TEST_CASE("old rotary buffers are skipped, and a tied model ignores a stored copy of its head", "[models]") {
  const TemporaryDirectory directory;
  auto options = small_options();
  options.tied_embeddings = true;
  const auto original = small_decoder(options);
  Tensors tensors;
  for (const auto& [name, tensor] : tensors_of(original)) {
    if (name != "lm_head.weight") tensors.emplace_back(name, tensor);
  }
  tensors.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", at::ones({3}));
  tensors.emplace_back("lm_head.weight", original->output_weight().detach());
  write_model(directory.path(), tensors, /*tied=*/true);
  const auto loaded = load_model(directory.path());
  REQUIRE(loaded->options().tied_embeddings);
  REQUIRE(at::equal(loaded->output_weight(), original->output_weight()));
}

TEST_CASE("a head that is another tensor than the embeddings is used, whatever the config says", "[models]") {
  const TemporaryDirectory directory;
  auto options = small_options();
  options.tied_embeddings = true;
  Tensors tensors;
  for (const auto& [name, tensor] : tensors_of(small_decoder(options))) {
    if (name != "lm_head.weight") tensors.emplace_back(name, tensor);
  }
  tensors.emplace_back("lm_head.weight", at::ones({61, 24}));
  write_model(directory.path(), tensors, /*tied=*/true);
  const auto loaded = load_model(directory.path());
  REQUIRE_FALSE(loaded->options().tied_embeddings);
  REQUIRE(at::equal(loaded->output_weight(), at::ones({61, 24})));
}

TEST_CASE("a config that promises more than the file holds allocates nothing", "[models]") {
  const TemporaryDirectory directory;
  write_model(directory.path(), tensors_of(small_decoder()));
  // 60 million by a million: 240 TB.
  std::ofstream(directory.path() / "config.json")
      << R"({"model_type": "llama", "vocab_size": 60000000, "hidden_size": 1000000, "intermediate_size": 40,
      "num_hidden_layers": 2000, "num_attention_heads": 4, "num_key_value_heads": 2})";
  REQUIRE_THAT(error_of(directory.path()), Contains("model.embed_tokens.weight is [61, 24]") && Contains("more"));
}

TEST_CASE("random weights need no file but config.json", "[models]") {
  const TemporaryDirectory directory;
  write_model(directory.path(), {});
  std::filesystem::remove(directory.path() / "model.safetensors");
  LoadOptions options;
  options.random_seed = 9;
  const auto one = load_model(directory.path(), options), two = load_model(directory.path(), options);
  REQUIRE(at::equal(one->output_weight(), two->output_weight()));
}

TEST_CASE("random weights that cannot fit are refused before anything is allocated", "[models]") {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "config.json")
      << R"({"model_type": "llama", "vocab_size": 60000000, "hidden_size": 1000000, "intermediate_size": 40,
      "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2})";
  LoadOptions options;
  options.random_seed = 9;
  REQUIRE_THROWS_WITH(load_model(directory.path(), options), Contains("weights take"));
}
