#include "graft/train/checkpointer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>

#include <exception>
#include <future>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/io/atomic_directory.h"
#include "graft/io/tensor_file.h"
#include "graft/train/manifest.h"

namespace graft::train {
namespace {

constexpr const char* kStateTensors = "trainer_state.safetensors";

NamedTensors named(const std::map<std::string, at::Tensor>& tensors) { return {tensors.begin(), tensors.end()}; }

}  // namespace

WeightFiles plain_weight_files(NamedTensors parameters) {
  WeightFiles files;
  files.save = [parameters](const std::filesystem::path& directory) {
    NamedTensors tensors;
    for (const auto& [name, tensor] : parameters) tensors.emplace_back(name, tensor.detach());
    io::save_tensors(directory / "weights.safetensors", tensors);
  };
  files.load = [parameters](const std::filesystem::path& directory) {
    const at::NoGradGuard no_grad;
    const auto path = directory / "weights.safetensors";
    const auto saved = io::load_tensors(path);
    for (auto [name, tensor] : parameters) {
      const auto found = saved.find(name);
      if (found == saved.end()) throw DataError("the checkpoint has no tensor of this name").at(path.string() + ": " + name);
      if (found->second.sizes() != tensor.sizes())
        throw DataError("the checkpoint's tensor has another shape").at(path.string() + ": " + name);
      tensor.copy_(found->second);
    }
  };
  return files;
}

Checkpointer::Checkpointer(std::shared_ptr<const RunDirectory> directory, WeightFiles files, AdamW& optimizer, int64_t keep)
    : directory_(std::move(directory)), files_(std::move(files)), optimizer_(optimizer), keep_(keep) {}

std::filesystem::path Checkpointer::save(const TrainerState& state) {
  const auto target = directory_->checkpoint(state.step);
  io::AtomicDirectory directory(target);
  files_.save(directory.path());
  io::save_tensors(directory.path() / kStateTensors, optimizer_.state());
  write_file(directory.path() / "state.json", to_json(state));
  write_manifest(directory.path());
  directory.commit();
  directory_->remember_checkpoints();
  prune(state);
  return target;
}

void Checkpointer::prune(const TrainerState& state) const { directory_->prune(state.step, keep_, state.best_step); }

std::optional<TrainerState> Checkpointer::restore(const RunIdentity& identity, int64_t steps) {
  const auto checkpoint = directory_->newest_valid_checkpoint(
      [&](const Checkpoint& found) { check_identity(found.state, identity, steps, (found.path / "state.json").string()); });
  if (!checkpoint) return std::nullopt;
  files_.load(checkpoint->path);
  const auto tensors = checkpoint->path / kStateTensors;
  optimizer_.load_state(named(io::load_tensors(tensors)), tensors.string());
  return checkpoint->state;
}

std::filesystem::path Checkpointer::save_and_compare(const TrainerState& state) {
  const auto path = save(state);
  // The files are hashed while they are read back: a run waits for this before its first step.
  auto verified = std::async(std::launch::async, [&path] { return verify_manifest(path); });
  std::exception_ptr difference;
  try {
    compare(path);
  } catch (...) {
    difference = std::current_exception();
  }
  const std::string wrong = verified.get();
  if (!wrong.empty())
    throw IoError("a checkpoint was written and read back differently: " + wrong)
        .at(path.string())
        .hint("check the disk or choose another output_dir");
  if (difference) std::rethrow_exception(difference);
  return path;
}

void Checkpointer::compare(const std::filesystem::path& path) const {
  NamedTensors before;
  for (const auto& [name, tensor] : optimizer_.parameters())
    before.emplace_back(name, tensor.is_cpu() ? tensor.detach().clone() : tensor.detach().cpu());
  files_.load(path);
  for (size_t i = 0; i < before.size(); ++i)
    if (!at::equal(before[i].second, optimizer_.parameters()[i].second.detach().cpu()))
      throw InternalError("a parameter is not the same after it was saved and loaded").at(before[i].first);
  const auto saved = io::SafetensorsFile::open(path / kStateTensors, io::Strictness::kOwn, io::SafetensorsFile::Access::kMapped);
  for (const auto& [name, tensor] : optimizer_.state()) {
    const auto* entry = saved.find(name);
    if (entry == nullptr || !at::equal(io::view(saved, *entry), tensor.cpu()))
      throw InternalError("an optimizer tensor is not the same after it was saved and loaded").at(name);
  }
}

std::filesystem::path Checkpointer::save_final(const std::string& name) {
  const auto target = directory_->path() / name;
  io::AtomicDirectory directory(target);
  (files_.save_final ? files_.save_final : files_.save)(directory.path());
  directory.commit();
  return target;
}

}  // namespace graft::train
