#include "graft/ops/linear_cross_entropy.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <torch/nn.h>

#include "graft/adapters/attach.h"
#include "support/catch.h"
#include "support/devices.h"

using graft::ops::linear_cross_entropy;

namespace {

constexpr int64_t kRows = 37, kWidth = 16, kVocabulary = 101;

struct Case {
  at::Tensor hidden, weight, targets;
  explicit Case(bool weight_is_trained) {
    at::manual_seed(1);
    hidden = at::randn({kRows, kWidth}).requires_grad_();
    weight = at::randn({kVocabulary, kWidth}).requires_grad_(weight_is_trained);
    targets = at::randint(kVocabulary, {kRows}, at::kLong);
    targets.index_put_({at::randint(kRows, {12}, at::kLong)}, at::tensor(-100, at::kLong));
  }
};

/// The whole logits at once, LibTorch's own loss.
at::Tensor oracle(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  return at::cross_entropy_loss(at::linear(hidden, weight).to(at::kFloat), targets, {}, at::Reduction::Sum, -100);
}

}  // namespace

TEST_CASE("the chunked loss and all its gradients equal the whole cross-entropy's, whatever the chunk", "[ops]") {
  for (const bool trained : {false, true})
    for (const int64_t chunk : {0, 1, 7, 64}) {
      Case mine(trained), reference(trained);
      const auto loss = linear_cross_entropy(mine.hidden, mine.weight, mine.targets, {}, false, chunk).loss_sum;
      const auto expected = oracle(reference.hidden, reference.weight, reference.targets);
      (loss * 0.25).backward();
      (expected * 0.25).backward();
      INFO("weight trained " << trained << ", chunk " << chunk);
      // float32 sums of about 30 terms in another order.
      CHECK(loss.item<float>() == Approx(expected.item<float>()).epsilon(1e-6));
      CHECK(at::allclose(mine.hidden.grad(), reference.hidden.grad(), 1e-5, 1e-6));
      CHECK(mine.weight.grad().defined() == trained);
      if (trained) CHECK(at::allclose(mine.weight.grad(), reference.weight.grad(), 1e-5, 1e-5));
    }
}

TEST_CASE("rows given by the caller give the same bits as rows found here", "[ops]") {
  Case a(false), b(false);
  const auto rows = b.targets.ne(-100).nonzero().squeeze(1);
  const auto first = linear_cross_entropy(a.hidden, a.weight, a.targets).loss_sum;
  const auto second = linear_cross_entropy(b.hidden, b.weight, b.targets, rows).loss_sum;
  first.backward();
  second.backward();
  CHECK(at::equal(first, second));
  CHECK(at::equal(a.hidden.grad(), b.hidden.grad()));
}

TEST_CASE("a batch without a supervised token has loss 0 and zero gradients", "[ops]") {
  Case all_masked(true);
  all_masked.targets.fill_(-100);
  const auto loss = linear_cross_entropy(all_masked.hidden, all_masked.weight, all_masked.targets).loss_sum;
  loss.backward();
  CHECK(loss.item<float>() == 0.0f);
  CHECK(all_masked.hidden.grad().abs().max().item<float>() == 0.0f);
  CHECK(all_masked.weight.grad().abs().max().item<float>() == 0.0f);
}

TEST_CASE("right predictions are counted as argmax finds them", "[ops]") {
  Case mine(false);
  const auto chosen = at::linear(mine.hidden, mine.weight).argmax(1);
  mine.targets.slice(0, 0, 20).copy_(chosen.slice(0, 0, 20));
  const auto expected = chosen.eq(mine.targets).sum().item<int64_t>();
  CHECK(linear_cross_entropy(mine.hidden, mine.weight, mine.targets, {}, true, 5).correct.item<int64_t>() == expected);
  CHECK(expected >= 20);
}

TEST_CASE("a bfloat16 loss stays within bfloat16's rounding of the float32 one", "[ops]") {
  Case wide(false), narrow(false);
  narrow.hidden = narrow.hidden.detach().to(at::kBFloat16).requires_grad_();
  narrow.weight = narrow.weight.detach().to(at::kBFloat16);
  const auto loss = linear_cross_entropy(narrow.hidden, narrow.weight, narrow.targets).loss_sum;
  const auto expected = oracle(narrow.hidden.detach().to(at::kFloat), narrow.weight.to(at::kFloat), narrow.targets);
  loss.backward();
  CHECK(loss.scalar_type() == at::kFloat);
  CHECK(loss.item<float>() == Approx(expected.item<float>()).epsilon(0.01));  // 2^-8 per logit, averaged over rows
  CHECK(narrow.hidden.grad().scalar_type() == at::kBFloat16);
}

// On a GPU a row waits for its second pass in registers, then in shared memory, then where it came from: one vocabulary for each, and one
// that cannot be read in 16-byte pieces.
TEST_CASE("loss, gradient and count equal float64's for vocabularies of every size, on every device", "[ops]") {
  graft::test::for_each_device([](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const int64_t vocabulary : {101, 4096, 49152, 128256, 300000}) {
        if (device.is_cpu() && (dtype == at::kHalf || vocabulary > 49152)) continue;  // no path of their own there
        INFO(device.str() << " " << dtype << " vocabulary " << vocabulary);
        at::manual_seed(3);
        const auto mine = (at::randn({9, kWidth}) * 2).to(device, dtype).requires_grad_();
        const auto weight = at::randn({vocabulary, kWidth}).to(device, dtype);
        auto targets = at::randint(vocabulary, {9}, at::kLong).to(device);
        const auto logits = at::linear(mine.detach(), weight).to(at::kDouble);  // rounded to the dtype, as ours are
        targets.slice(0, 0, 4).copy_(logits.argmax(1).slice(0, 0, 4));
        const auto loss = linear_cross_entropy(mine, weight, targets).loss_sum;
        loss.backward();
        const auto expected = at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum, -100);
        const auto wrong = at::softmax(logits, 1).scatter_add(1, targets.unsqueeze(1), at::full({9, 1}, -1.0, logits.options()));
        // Probabilities are rounded to the dtype, up to 1 in size; they meet weights of up to 5. Float32 sums 300000 terms, and a
        // GPU's fast exponential errs by 30 units of 2^-23 where logits reach 30.
        const double unit = dtype == at::kFloat ? 1e-5 : dtype == at::kHalf ? 5e-4 : 4e-3;
        CHECK(loss.item<double>() == Approx(expected.item<double>()).epsilon(1e-5));
        CHECK((mine.grad().to(at::kDouble) - wrong.mm(weight.to(at::kDouble))).abs().max().item<double>() < unit * 5);
        const at::NoGradGuard evaluation;
        const auto counted = linear_cross_entropy(mine, weight, targets, {}, /*correct=*/true);
        CHECK(counted.loss_sum.item<float>() == Approx(loss.item<float>()).epsilon(1e-6));
        CHECK(counted.correct.item<int64_t>() >= 4);
      }
    }
  });
}

TEST_CASE("an adapted output head gives its adapters the gradients of the whole cross-entropy", "[ops]") {
  const auto run = [](bool chunked) {
    at::manual_seed(5);
    torch::nn::Linear head(torch::nn::LinearOptions(kWidth, kVocabulary).bias(false));
    torch::nn::Sequential model(head);
    auto adapters = graft::attach(*model, graft::LoraOptions(4).alpha(8).targets(std::vector<std::string>{"0"}));
    std::vector<at::Tensor> gradients;
    {
      const at::NoGradGuard no_grad;
      for (auto& parameter : adapters.parameters()) parameter.normal_();
    }
    Case data(false);
    if (chunked)
      linear_cross_entropy(data.hidden, head->weight, data.targets, {}, false, 7).loss_sum.mul(0.5).backward();
    else
      oracle(data.hidden, head->weight, data.targets).mul(0.5).backward();
    for (const auto& parameter : adapters.parameters()) gradients.push_back(parameter.grad());
    gradients.push_back(data.hidden.grad());
    return gradients;
  };
  const auto mine = run(true), expected = run(false);
  REQUIRE(mine.size() == 3);
  for (size_t i = 0; i < mine.size(); ++i) CHECK(at::allclose(mine[i], expected[i], 1e-4, 1e-4));
}

TEST_CASE("a target outside the vocabulary and shapes that do not fit are data errors with the numbers", "[ops]") {
  Case wrong(false);
  wrong.targets[3] = kVocabulary;
  CHECK_THROWS_WITH(linear_cross_entropy(wrong.hidden, wrong.weight, wrong.targets),
                    Contains("token 101") && Contains("vocabulary of 101"));
  CHECK_THROWS_WITH(linear_cross_entropy(wrong.hidden, at::randn({5, 3}), wrong.targets), Contains("[37, 16]") && Contains("[5, 3]"));
}
