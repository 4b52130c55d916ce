// One base in memory, an adapter per customer: switch between them, mix them, or use the bare base, which stays as it was bit for bit.
#include <graft/graft.h>

#include <torch/nn.h>
#include <torch/optim/adamw.h>

#include <chrono>
#include <cstdio>

namespace {

/// Teaches the active adapter to add `target` to its input.
void teach(torch::nn::Sequential& model, graft::AdapterSet& adapters, double target) {
  torch::optim::AdamW optimizer(adapters.parameters(), torch::optim::AdamWOptions(2e-2));
  for (int step = 0; step < 150; ++step) {
    const auto x = torch::randn({64, 16});
    optimizer.zero_grad();
    torch::mse_loss(model->forward(x), torch::full({64, 16}, target)).backward();
    optimizer.step();
  }
}

double mean(torch::nn::Sequential& model, const torch::Tensor& x) { return model->forward(x).mean().item<double>(); }

}  // namespace

int main() {
  torch::manual_seed(0);
  torch::nn::Sequential model(torch::nn::Linear(16, 64), torch::nn::Tanh(), torch::nn::Linear(64, 16));
  const auto x = torch::randn({256, 16});
  const auto base = model->forward(x).detach();

  auto a = graft::attach(*model, graft::LoraOptions(4).name("customer-a").targets("all-linear").bias("lora_only"));
  teach(model, a, +1.0);
  auto b = graft::attach(*model, graft::LoraOptions(4).name("customer-b").targets("all-linear"));
  teach(model, b, -1.0);

  graft::activate(*model, "customer-a");
  const double answer_a = mean(model, x);
  const auto start = std::chrono::steady_clock::now();
  graft::activate(*model, "customer-b");
  const double switch_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  const double answer_b = mean(model, x);
  graft::deactivate(*model);
  const bool base_untouched = torch::equal(base, model->forward(x));

  std::printf("customer A %.2f, customer B %.2f, switched in %.3f ms, base untouched: %d\n", answer_a, answer_b, switch_ms, base_untouched);
  return answer_a > 0.5 && answer_b < -0.3 && switch_ms < 1.0 && base_untouched ? 0 : 1;
}
