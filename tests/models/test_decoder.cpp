#include "graft/models/decoder.h"

#include <map>

#include "graft/base/error.h"
#include "graft/models/family.h"
#include "models/support.h"

using namespace graft;
using namespace graft::testing;

namespace {

/// float32 sums of a few dozen terms in another order.
constexpr double kReordered = 2e-5;

std::vector<models::DecoderOptions> variants() {
  auto windowed = small_options(), qwen = small_options(), tied = small_options();
  windowed.sliding_window = {3, 0, 3};
  qwen.query_key_norm = qwen.qkv_bias = true;
  tied.tied_embeddings = true;
  return {small_options(), windowed, qwen, tied};
}

}  // namespace

TEST_CASE("the module tree has Hugging Face's names and shapes to the letter", "[models]") {
  for (const auto& options : variants()) {
    std::map<std::string, std::vector<int64_t>> expected;
    for (const auto& [name, shape] : models::parameter_shapes(options)) expected[name] = shape;
    if (options.tied_embeddings) expected["lm_head.weight"] = expected["model.embed_tokens.weight"];
    std::map<std::string, std::vector<int64_t>> ours;
    for (const auto& item : small_decoder(options)->named_parameters()) ours[item.key()] = item.value().sizes().vec();
    REQUIRE(ours == expected);
  }
}

TEST_CASE("parameters are frozen, and a tied head is the embedding's tensor itself", "[models]") {
  auto options = small_options();
  options.tied_embeddings = true;
  const auto decoder = small_decoder(options);
  const auto parameters = decoder->named_parameters();
  for (const auto& item : parameters) REQUIRE_FALSE(item.value().requires_grad());
  REQUIRE(parameters["lm_head.weight"].is_same(parameters["model.embed_tokens.weight"]));
  REQUIRE(decoder->output_weight().is_same(parameters["model.embed_tokens.weight"]));
}

TEST_CASE("packed documents give the logits they give alone, and padding changes nothing", "[models]") {
  const at::NoGradGuard no_gradients;
  for (const auto& options : variants()) {
    auto decoder = small_decoder(options);
    const auto ids = random_ids({1, 12});
    const auto documents = at::tensor({0, 0, 0, 0, 0, 1, 1, 2, 2, 2, -1, -1}, at::kInt).view({1, 12});
    const auto packed = decoder->forward(ids, {{}, documents});
    const std::vector<std::pair<int64_t, int64_t>> parts{{0, 5}, {5, 2}, {7, 3}};
    for (const auto& [begin, length] : parts) {
      const auto alone = decoder->forward(ids.narrow(1, begin, length));
      REQUIRE(worst_difference(packed.narrow(1, begin, length), alone) <= kReordered);
    }
    REQUIRE(packed.isfinite().all().item<bool>());
  }
}

TEST_CASE("explicit positions and those derived from documents agree", "[models]") {
  const at::NoGradGuard no_gradients;
  auto decoder = small_decoder();
  const auto ids = random_ids({1, 6});
  const auto documents = at::tensor({0, 0, 1, 1, 1, -1}, at::kInt).view({1, 6});
  const auto positions = at::tensor({0, 1, 0, 1, 2, 0}, at::kInt).view({1, 6});
  REQUIRE(at::equal(decoder->forward(ids, {positions, documents}), decoder->forward(ids, {{}, documents})));
}

TEST_CASE("generation with a cache equals the whole forward pass, position by position", "[models]") {
  const at::NoGradGuard no_gradients;
  for (const auto& options : variants()) {
    auto decoder = small_decoder(options);
    const auto ids = random_ids({2, 11});
    const auto whole = decoder->forward(ids);
    models::KeyValueCache cache(options.layers);
    int64_t done = 0;
    for (const int64_t length : {4, 1, 1, 3, 1, 1}) {
      const auto step = decoder->forward(ids.narrow(1, done, length), {}, &cache);
      REQUIRE(worst_difference(step, whole.narrow(1, done, length)) <= kReordered);
      done += length;
    }
    REQUIRE(cache.length == 11);
  }
}

TEST_CASE("recomputing blocks changes no logit and no gradient by a bit", "[models]") {
  using KeptInputs = models::DecoderImpl::KeptInputs;
  const auto run = [](int64_t every, KeptInputs inputs) {
    auto decoder = small_decoder();
    for (auto& item : decoder->named_parameters()) {
      if (item.key().find("q_proj") != std::string::npos || item.key().find("down_proj") != std::string::npos)
        item.value().requires_grad_(true);
    }
    decoder->set_recompute(every, inputs);
    const auto ids = random_ids({2, 9});
    const auto logits = decoder->forward(ids, {{}, at::tensor({0, 0, 0, 0, 1, 1, 1, 1, -1}, at::kInt).expand({2, 9})});
    torch::autograd::backward({logits.logsumexp(-1).sum()}, {});
    std::vector<at::Tensor> result{logits.detach()};
    for (auto& item : decoder->named_parameters()) {
      if (item.value().requires_grad()) result.push_back(item.value().grad());
    }
    return result;
  };
  const auto plain = run(0, KeptInputs::kOnDevice);
  for (const int64_t every : {1, 2}) {
    for (const auto inputs : {KeptInputs::kOnDevice, KeptInputs::kOnHost}) {
      const auto again = run(every, inputs);
      REQUIRE(again.size() == plain.size());
      for (size_t i = 0; i < plain.size(); ++i) REQUIRE(at::equal(again[i], plain[i]));
    }
  }
}

TEST_CASE("an id outside of the vocabulary is refused with its position", "[models]") {
  REQUIRE_THROWS_WITH(models::check_ids({1, 2, 61}, 61, "input:3"), Contains("61 at position 2") && Contains("input:3"));
  REQUIRE_THROWS_AS(models::check_ids({-1}, 61, ""), DataError);
  REQUIRE_NOTHROW(models::check_ids({0, 60}, 61, ""));
}

TEST_CASE("initialisation is a function of seed and name, whatever the dtype", "[models]") {
  const auto full = small_decoder(), half = small_decoder(small_options(), at::kBFloat16);
  const auto a = full->named_parameters(), b = half->named_parameters();
  for (const auto& item : a) REQUIRE(at::equal(item.value().to(at::kBFloat16), b[item.key()]));
  const auto weight = a["model.layers.1.mlp.up_proj.weight"];
  REQUIRE(std::abs(weight.std().item<double>() - 0.2) < 0.02);  // 960 draws: the deviation is known to 0.005
  REQUIRE(at::equal(a["model.norm.weight"], at::ones({24})));
  REQUIRE_FALSE(at::equal(weight, a["model.layers.2.mlp.up_proj.weight"]));
}
