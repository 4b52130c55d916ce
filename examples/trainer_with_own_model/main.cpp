// graft's trainer over a model of one's own: schedule, clipping, metrics, checkpoints, resume. The model is a function to it.
#include <graft/graft.h>

#include <torch/nn.h>

#include <cstdio>
#include <filesystem>

/// A small next-token model. Plain torch::nn.
struct NextTokenImpl : torch::nn::Module {
  torch::nn::Embedding embedding{nullptr};
  torch::nn::Linear hidden{nullptr}, head{nullptr};
  NextTokenImpl() {
    embedding = register_module("embedding", torch::nn::Embedding(64, 32));
    hidden = register_module("hidden", torch::nn::Linear(32, 64));
    head = register_module("head", torch::nn::Linear(64, 64));
  }
  torch::Tensor forward(const torch::Tensor& ids) { return head(torch::gelu(hidden(embedding(ids)))); }
};
TORCH_MODULE(NextToken);

/// Rows that count upwards modulo 64: step k always gives the same batch, so a resumed run sees what an undisturbed one sees.
graft::data::StepBatches counting_rows(int64_t step) {
  graft::data::Batch batch;
  batch.rows = 8, batch.length = 16;
  for (int64_t row = 0; row < batch.rows; ++row)
    for (int64_t t = 0; t < batch.length; ++t) {
      const auto id = static_cast<int32_t>((step * 7 + row * 5 + t) % 64);
      batch.ids.push_back(id);
      batch.labels.push_back(t == 0 ? -100 : id);
      batch.position_ids.push_back(static_cast<int32_t>(t));
      batch.document_ids.push_back(0);
    }
  batch.tokens = batch.rows * batch.length;
  batch.supervised_tokens = batch.rows * (batch.length - 1);
  return {{batch}, static_cast<double>(step)};
}

int main() {
  torch::manual_seed(0);
  NextToken model;
  auto adapters = graft::attach(*model, graft::LoraOptions(8).targets("all-linear"));
  const auto loss = [&](const graft::train::DeviceBatch& batch) {
    const auto logits = model(batch.ids).flatten(0, 1);
    const auto sum = torch::nll_loss(torch::log_softmax(logits, -1), batch.targets.flatten(), {}, at::Reduction::Sum, -100);
    return graft::train::LossResult{sum, {}};
  };

  const auto directory = std::filesystem::temp_directory_path() / "graft_trainer_example";
  std::filesystem::remove_all(directory);
  graft::Trainer trainer(loss, adapters.named_parameters(), counting_rows,
                         graft::TrainerOptions(60).learning_rate(1e-2).log_every(20).output_dir(directory));
  trainer.save_with({[&](const auto& path) { adapters.save(path); }, [&](const auto& path) { adapters.load(path); }, {}});
  const auto result = trainer.run();
  std::printf("%lld steps, last loss %.3f, adapter in %s\n", static_cast<long long>(result.step), result.loss,
              result.final_weights.c_str());
  return result.loss < 3.0 && std::filesystem::exists(result.final_weights / "adapter_config.json") ? 0 : 1;
}
