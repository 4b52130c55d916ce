#include "graft/app/memory_advice.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "graft/base/strings.h"
#include "graft/io/quantization_config.h"

namespace graft::app {
namespace {

using Phase = MemorySituation::Phase;
using train::MemoryInputs;

constexpr size_t kRemedies = 3, kParts = 4;
constexpr double kLeastShare = 0.02;
/// A prediction that was too small by this much is taken to be why it failed, when the plan alone does not show it.
constexpr double kUnforeseen = 0.05;
/// Copies over PCIe beside the arithmetic: nothing for large models, more for small ones.
constexpr double kOffloadCost = 0.03;
/// What a change of the run's result counts like in the ranking: number formats least, then what is trained, then shorter texts.
constexpr double kFormatCost = 0.10, kMethodCost = 0.35, kLengthCost = 0.45;

double block_parameters(const MemoryInputs& in) {
  const auto query = static_cast<double>(in.heads * in.head_size), key = static_cast<double>(in.key_value_heads * in.head_size);
  return static_cast<double>(in.hidden) * (2 * query + 2 * key + 3 * static_cast<double>(in.intermediate));
}

double step_work(const MemoryInputs& in) {
  const double blocks = static_cast<double>(in.layers) * block_parameters(in);
  const auto head = static_cast<double>(in.vocabulary) * static_cast<double>(in.hidden);
  const double again = in.recompute_every > 0 ? 1.0 / static_cast<double>(in.recompute_every) : 0;
  return (in.full ? 6 : 4) * (blocks + head) + 2 * again * blocks;
}

double per_token(double tokens_worth, const MemoryInputs& in) {
  return std::min(tokens_worth / static_cast<double>(std::max<int64_t>(in.micro_rows * in.length, 1)), 0.5);
}

int64_t bytes_in_phase(const MemorySituation& situation) {
  int64_t sum = 0;
  for (const auto& [name, bytes] : parts_in_phase(situation)) sum += bytes;
  return sum;
}

/// Collects what applies.
class Remedies {
 public:
  explicit Remedies(const MemorySituation& situation) : situation_(situation), now_(bytes_in_phase(situation)) {
    const double unforeseen = kUnforeseen * static_cast<double>(now_);
    shortage_ = situation.room > 0 ? std::max(static_cast<double>(now_ - situation.room), unforeseen) : unforeseen;
  }

  /// `key` and `option`: the setting as a recipe and as `bench train` write it; an empty one has no such setting.
  void add(const std::string& key, const std::string& option, double cost, const std::string& price,
           const std::function<void(MemoryInputs&)>& change) {
    const std::string& setting = situation_.bench ? option : key;
    if (setting.empty()) return;
    MemorySituation changed = situation_;
    change(changed.inputs);
    const int64_t saves = now_ - bytes_in_phase(changed);
    if (static_cast<double>(saves) < kLeastShare * static_cast<double>(now_)) return;
    found_.push_back({setting, saves, cost, price, static_cast<double>(saves) >= shortage_});
  }

  /// The price is speed.
  void add(const std::string& key, const std::string& option, double cost, const std::function<void(MemoryInputs&)>& change) {
    const int percent = static_cast<int>(std::lround(100 * cost));
    add(key, option, cost, percent < 1 ? "costs next to no speed" : "costs about " + std::to_string(percent) + " % of the speed", change);
  }

  std::vector<MemoryRemedy> ranked() {
    std::stable_sort(found_.begin(), found_.end(), [](const MemoryRemedy& a, const MemoryRemedy& b) {
      if (a.is_enough != b.is_enough) return a.is_enough;
      return a.is_enough ? a.cost < b.cost : a.saves > b.saves;
    });
    return std::move(found_);
  }

 private:
  const MemorySituation& situation_;
  int64_t now_;
  double shortage_;
  std::vector<MemoryRemedy> found_;
};

void add_recompute(const MemoryInputs& in, Remedies* remedies) {
  if (in.recompute_every == 1) return;
  MemoryInputs all = in;
  all.recompute_every = 1;
  remedies->add("memory.checkpointing: full", "--recompute full", 1 - step_work(in) / step_work(all),
                [](MemoryInputs& changed) { changed.recompute_every = 1; });
}

void add_offload(const MemoryInputs& in, Remedies* remedies) {
  if (!in.cuda || in.offload || in.recompute_every != 1) return;
  MemoryInputs offloaded = in;
  offloaded.offload = true;
  const auto host = static_cast<double>(train::plan_memory(offloaded).pinned_host);
  remedies->add("memory.offload_activations: true", "--offload", kOffloadCost,
                "takes " + format_bytes(host) + " of pinned host memory, and little speed where the copies hide behind the arithmetic",
                [](MemoryInputs& changed) { changed.offload = true; });
}

void add_micro_batch(const MemoryInputs& in, Remedies* remedies) {
  if (in.micro_rows < 2) return;
  const int64_t rows = in.micro_rows / 2;
  const double cost = in.cuda ? per_token(in.quantized_parameters > 0 ? 220 : 60, in) : 0;
  const std::string number = std::to_string(rows);
  remedies->add("batch.micro_sequences: " + number + " (more gradient accumulation, the same result)", "--batch " + number, cost,
                [rows](MemoryInputs& changed) {
                  changed.micro_batches *= 2;
                  changed.micro_rows = rows;
                });
}

void add_four_bits(const MemoryInputs& in, Remedies* remedies) {
  if (in.quantized_parameters > 0 || in.full) return;
  remedies->add("quant.type: nf4", "--quant nf4", in.cuda ? per_token(160, in) : 0.2, [](MemoryInputs& changed) {
    changed.quantized_parameters =
        std::min(static_cast<int64_t>(static_cast<double>(changed.layers) * block_parameters(changed)), changed.total_parameters);
    changed.quantized_bytes = io::four_bit_bytes_per_weight(64, /*double_quant=*/true);  // the defaults
    changed.decoded_bytes = changed.hidden * std::max(changed.intermediate, changed.heads * changed.head_size) * changed.dtype_bytes;
  });
}

void add_formats(const MemoryInputs& in, Remedies* remedies) {
  if (in.dtype_bytes == 4)
    remedies->add("model.dtype: bf16", "--dtype bfloat16", kFormatCost, "computes in 16 bits", [](MemoryInputs& changed) {
      changed.dtype_bytes = 2;
      if (changed.full) changed.trainable_bytes = 2;
    });
  if (!in.full && in.trainable_bytes == 4)
    remedies->add("adapter.dtype: bf16", "--adapter-dtype bf16", kFormatCost + 0.1, "updates the adapter in 16 bits",
                  [](MemoryInputs& changed) { changed.trainable_bytes = 2; });
}

void add_method(const MemoryInputs& in, Remedies* remedies) {
  if (!in.full) return;
  remedies->add("adapter.type: lora", "", kMethodCost, "trains an adapter of rank 16 instead of every weight", [](MemoryInputs& changed) {
    const int64_t query = changed.heads * changed.head_size, key = changed.key_value_heads * changed.head_size;
    changed.full = false;
    changed.ranks_per_layer = int64_t{7} * 16;
    changed.trainable_parameters = changed.layers * 16 * (7 * changed.hidden + 2 * query + 2 * key + 3 * changed.intermediate);
    changed.trainable_bytes = 4;
  });
}

void add_length(const MemoryInputs& in, Remedies* remedies) {
  if (in.length < 256) return;
  const int64_t length = in.length / 2;
  const std::string number = std::to_string(length);
  remedies->add("model.max_length: " + number, "--seq " + number, kLengthCost, "longer samples follow data.on_overflow",
                [length](MemoryInputs& changed) { changed.length = length; });
}

std::string phase_text(const MemorySituation& situation) {
  const std::string step = std::to_string(situation.step);
  switch (situation.phase) {
    case Phase::kLoading:
      return "while loading the model";
    case Phase::kStep:
      return "in forward or backward of step " + step;
    case Phase::kEvaluation:
      return "in the evaluation after step " + step;
    case Phase::kSaving:
      return "while saving after step " + step;
  }
  throw InternalError("no such phase");
}

}  // namespace

std::vector<std::pair<std::string, int64_t>> parts_in_phase(const MemorySituation& situation) {
  const auto plan = train::plan_memory(situation.inputs);
  std::vector<std::pair<std::string, int64_t>> found;
  for (auto [name, bytes] : plan.parts()) {
    const bool passes = name == "gradients" || name == "optimizer" || name == "loss_chunk" || name == "backward";
    if (situation.phase == Phase::kLoading && (passes || name == "activations")) continue;
    if (situation.phase == Phase::kEvaluation) {
      if (name == "backward") continue;
      if (name == "activations") bytes /= std::max<int64_t>(situation.inputs.layers, 1);  // one block at a time
    }
    if (bytes > 0) found.emplace_back(name, bytes);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return found;
}

std::vector<MemoryRemedy> memory_remedies(const MemorySituation& situation) {
  Remedies remedies(situation);
  if (situation.phase != Phase::kEvaluation) {
    add_recompute(situation.inputs, &remedies);
    add_offload(situation.inputs, &remedies);
  }
  for (const auto& add : {add_micro_batch, add_four_bits, add_formats, add_method, add_length}) add(situation.inputs, &remedies);
  return remedies.ranked();
}

InternalError out_of_memory(const MemorySituation& situation, const std::string& reported) {
  const auto size = [](int64_t bytes) { return format_bytes(static_cast<double>(bytes)); };
  auto parts = parts_in_phase(situation);
  const int64_t predicted = bytes_in_phase(situation);
  std::string text = "out of memory on " + situation.device + " " + phase_text(situation) + "\n  predicted: " + size(predicted);
  parts.resize(std::min(parts.size(), kParts));
  std::vector<std::string> names;
  for (const auto& [name, bytes] : parts) names.push_back(name + " " + size(bytes));
  text += ", most of it " + enumerate(names);
  if (situation.room > 0) {
    text += "\n  the device had " + size(situation.room) + " for this run when it began";
    if (predicted < situation.room)
      text += ", which was more: another process may have taken memory since, or the allocator's is in pieces";
  }
  if (!reported.empty()) text += "\n  " + reported.substr(0, reported.find('\n'));
  auto found = memory_remedies(situation);
  found.resize(std::min(found.size(), kRemedies));
  std::string hint = found.empty() ? "use a smaller model or a device with more memory" : "best first:";
  for (size_t i = 0; i < found.size(); ++i)
    hint += "\n  " + std::to_string(i + 1) + ". " + found[i].setting + " saves " + size(found[i].saves) + ", " + found[i].price +
            (found[i].is_enough ? "" : "; not enough alone");
  return InternalError(text).hint(hint);
}

}  // namespace graft::app
