// A model and a loop that never heard of graft. attach() adapts it, the optimizer gets the adapter's parameters, save() writes PEFT's
// files.
#include <graft/graft.h>

#include <torch/nn.h>
#include <torch/optim/adamw.h>

#include <cstdio>
#include <filesystem>

/// Reverses its input after some practice. Plain torch::nn.
struct NetImpl : torch::nn::Module {
  torch::nn::Linear up{nullptr}, down{nullptr};
  torch::nn::LayerNorm norm{nullptr};
  NetImpl() {
    norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({32})));
    up = register_module("up", torch::nn::Linear(32, 128));
    down = register_module("down", torch::nn::Linear(128, 32));
  }
  torch::Tensor forward(const torch::Tensor& x) { return down(torch::gelu(up(norm(x)))); }
};
TORCH_MODULE(Net);

int main() {
  torch::manual_seed(0);
  Net net;
  const auto probe = torch::randn({4, 32});
  const auto before = net(probe).detach();

  auto adapters = graft::attach(*net, graft::LoraOptions(8).alpha(16).targets("all-linear").name("reverser"));
  const bool unchanged = torch::equal(before, net(probe));  // B = 0: the adapted model is the base, bit for bit

  torch::optim::AdamW optimizer(adapters.parameters(), torch::optim::AdamWOptions(1e-2));
  float first = 0, last = 0;
  for (int step = 0; step < 200; ++step) {
    const auto x = torch::randn({64, 32});
    const auto loss = torch::mse_loss(net(x), x.flip(-1));
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    last = loss.item<float>();
    if (step == 0) first = last;
  }

  const auto directory = std::filesystem::temp_directory_path() / "graft_custom_model_adapter";
  std::filesystem::remove_all(directory);
  adapters.save(directory);  // adapter_model.safetensors + adapter_config.json
  const auto trained = net(probe).detach();
  adapters.detach();
  const bool base_is_back = torch::equal(before, net(probe));
  graft::load_adapter(*net, directory);
  const bool same_again = torch::equal(trained, net(probe));

  std::printf("loss %.3f -> %.3f; unchanged at the start: %d, base back after detach: %d, loaded adapter gives the same outputs: %d\n",
              first, last, unchanged, base_is_back, same_again);
  return unchanged && base_is_back && same_again && last < 0.9F * first ? 0 : 1;
}
