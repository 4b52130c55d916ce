#include "graft/train/graphed_backward.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/zeros.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <iostream>

#include "graft/adapters/attach.h"
#include "graft/adapters/dropout_stream.h"
#include "support/catch.h"

using namespace graft::train;

namespace {

bool has_gpu() { return at::globalContext().hasCUDA() && at::detail::getCUDAHooks().getNumGPUs() > 0; }

/// Rows of ids 1 … with every position supervised.
DeviceBatch batch_of(at::Device device, int64_t first, int64_t rows = 2, int64_t length = 4) {
  DeviceBatch batch;
  const auto options = at::TensorOptions(at::kLong).device(device);
  batch.ids = (at::arange(rows * length, options) + first).remainder(11).view({rows, length});
  batch.targets = batch.ids.clone();
  batch.position_ids = at::arange(length, options).repeat({rows, 1});
  batch.document_ids = at::zeros({rows, length}, at::kInt);
  batch.supervised_rows = at::arange(rows * length, options);
  batch.tokens = batch.supervised_tokens = rows * length;
  return batch;
}

}  // namespace

TEST_CASE("a step that cannot be recorded is left to the caller, with gradients untouched", "[train]") {
  auto weight = at::zeros({11, 3}).requires_grad_(true);
  const NamedTensors parameters{{"weight", weight}};
  int calls = 0;
  const LossFunction model = [&](const DeviceBatch& batch) {
    ++calls;
    return LossResult{at::embedding(weight, batch.ids).square().sum(), {}};
  };
  GraphedBackward graphed(model, parameters, at::kCPU, 1 << 20);
  for (int i = 0; i < GraphedBackward::kWarmups + 2; ++i) REQUIRE_FALSE(graphed.run(batch_of(at::kCPU, i), 8).has_value());
  REQUIRE(calls == 0);
  REQUIRE_FALSE(weight.grad().defined());
}

TEST_CASE("a recorded step gives the loss and gradients of a plain one, for new data too", "[train][cuda]") {
  if (!has_gpu()) {
    std::cout << "graphed backward: no GPU here, nothing was recorded\n";
    return;
  }
  const at::Device device(at::kCUDA, 0);
  auto weight = (at::arange(33, at::TensorOptions(at::kFloat).device(device)).view({11, 3}) / 33).requires_grad_(true);
  const NamedTensors parameters{{"weight", weight}};
  const LossFunction model = [&](const DeviceBatch& batch) {
    return LossResult{(at::embedding(weight, batch.ids).pow(3) * batch.targets.unsqueeze(-1)).sum(), {}};
  };
  GraphedBackward graphed(model, parameters, device, 1 << 20);
  int recorded = 0;
  for (int i = 0; i < GraphedBackward::kWarmups + 4; ++i) {
    const auto batch = batch_of(device, i);
    const auto loss = graphed.run(batch, 8);
    const auto gradient = weight.grad().defined() ? weight.grad().clone() : at::Tensor();
    weight.mutable_grad().reset();
    const auto plain = model(batch);
    (plain.loss_sum / 8).backward();
    if (loss) {
      ++recorded;
      REQUIRE(at::equal(*loss, plain.loss_sum.detach()));
      REQUIRE(at::equal(gradient, weight.grad()));
    }
    weight.mutable_grad().reset();
  }
  REQUIRE(recorded == 4);  // else libgraft_cuda.so was not found beside this program
}

TEST_CASE("a recorded step drops what the plain step of its position drops, on every replay", "[train][cuda]") {
  if (!has_gpu()) {
    std::cout << "graphed backward: no GPU here, no dropout was recorded\n";
    return;
  }
  const at::Device device(at::kCUDA, 0);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {  // plain operators, and the kernel that drops what it adds
    torch::nn::Sequential model(torch::nn::Linear(64, 64), torch::nn::Tanh(), torch::nn::Linear(64, 64));
    model->to(device, dtype);
    auto adapters = graft::attach(*model, graft::LoraOptions(4).alpha(64).dropout(0.5).targets("all-linear"));
    {
      const at::NoGradGuard no_gradients;
      for (auto& factor : adapters.parameters()) factor.fill_(0.05);
    }
    const auto table = at::arange(11 * 64, at::TensorOptions(at::kFloat).device(device)).cos().view({11, 64}).to(dtype);
    const LossFunction loss = [&](const DeviceBatch& batch) {
      return LossResult{model->forward(at::embedding(table, batch.ids)).to(at::kFloat).square().sum(), {}};
    };
    const NamedTensors parameters = adapters.named_parameters();
    GraphedBackward graphed(loss, parameters, device, 1 << 20);
    const auto take_gradients = [&] {
      std::vector<at::Tensor> taken;
      for (auto& [name, parameter] : parameters) {
        auto handle = parameter;
        taken.push_back(handle.grad().defined() ? handle.grad().clone() : at::Tensor());
        handle.mutable_grad().reset();
      }
      return taken;
    };
    std::vector<double> losses;
    for (int i = 0; i < GraphedBackward::kWarmups + 4; ++i) {
      const auto batch = batch_of(device, 3);  // the same every time: what differs is what is dropped
      graft::set_dropout_position(7, static_cast<uint64_t>(i), 0);
      const auto ours = graphed.run(batch, 8);
      const auto gradients = take_gradients();
      const auto plain = loss(batch);
      (plain.loss_sum / 8).backward();
      const auto expected = take_gradients();
      if (!ours) continue;
      losses.push_back(ours->item<double>());
      REQUIRE(at::equal(*ours, plain.loss_sum.detach()));
      for (size_t k = 0; k < expected.size(); ++k) REQUIRE(at::equal(gradients[k], expected[k]));
    }
    REQUIRE(losses.size() == 4);
    REQUIRE(losses[0] != losses[1]);
    graft::clear_dropout_position();
  }
}

TEST_CASE("packed rows and large steps are not recorded", "[train][cuda]") {
  if (!has_gpu()) {
    std::cout << "graphed backward: no GPU here, there is nothing to leave out\n";
    return;
  }
  const at::Device device(at::kCUDA, 0);
  auto weight = at::zeros({11, 3}, at::TensorOptions(at::kFloat).device(device)).requires_grad_(true);
  const NamedTensors parameters{{"weight", weight}};
  const LossFunction model = [&](const DeviceBatch& batch) { return LossResult{at::embedding(weight, batch.ids).sum(), {}}; };
  GraphedBackward graphed(model, parameters, device, 8);
  auto packed = batch_of(device, 0);
  packed.document_ids[0][3] = 1;
  for (int i = 0; i < GraphedBackward::kWarmups + 1; ++i) {
    REQUIRE_FALSE(graphed.run(packed, 8).has_value());
    REQUIRE_FALSE(graphed.run(batch_of(device, 0, 3), 12).has_value());
  }
}
