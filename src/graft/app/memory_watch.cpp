#include "graft/app/memory_watch.h"

#include <c10/util/Exception.h>

#include <new>

namespace graft::app {
namespace {

using Phase = MemorySituation::Phase;

class PhaseObserver final : public train::Observer {
 public:
  explicit PhaseObserver(MemorySituation* situation) : situation_(situation) {}
  void on_start(const train::RunStart& start) override { next_step(start.step); }
  void on_step(const train::StepRow& row, bool /*logged*/) override { next_step(row.step); }
  void on_checkpoint(int64_t step, const std::filesystem::path&) override { next_step(step); }

 private:
  void next_step(int64_t done) {
    situation_->phase = Phase::kStep;
    situation_->step = done + 1;
  }
  MemorySituation* situation_;
};

/// From "step n + 1 is being taken" to something that happens after step n.
void after_last_step(MemorySituation* situation, Phase phase) {
  if (situation->phase == Phase::kStep) --situation->step;
  situation->phase = phase;
}

void back_to_steps(MemorySituation* situation) {
  if (situation->phase != Phase::kStep) ++situation->step;
  situation->phase = Phase::kStep;
}

std::function<void(const std::filesystem::path&)> around(std::function<void(const std::filesystem::path&)> save,
                                                         MemorySituation* situation) {
  if (!save) return save;
  return [save = std::move(save), situation](const std::filesystem::path& directory) {
    after_last_step(situation, Phase::kSaving);
    save(directory);
    back_to_steps(situation);
  };
}

}  // namespace

std::optional<std::string> allocation_failure(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return "the host has no memory left (" + std::string(error.what()) + ")";
  const auto* torch = dynamic_cast<const c10::Error*>(&error);
  if (torch == nullptr) return std::nullopt;
  const std::string text = torch->what_without_backtrace();
  // LibTorch reports a failed allocation on the CPU as a plain c10::Error.
  const bool on_host = text.find("can't allocate memory") != std::string::npos || text.find("not enough memory") != std::string::npos;
  if (!on_host && dynamic_cast<const c10::OutOfMemoryError*>(&error) == nullptr) return std::nullopt;
  return text.substr(0, text.find("\nException raised from"));
}

int with_memory_advice(const MemorySituation& situation, const std::function<int()>& job) {
  try {
    return job();
  } catch (const std::exception& error) {
    if (const auto reported = allocation_failure(error)) throw out_of_memory(situation, *reported);
    throw;
  }
}

void watch_phases(train::Trainer& trainer, MemorySituation& situation) { trainer.observe(std::make_shared<PhaseObserver>(&situation)); }

std::function<void(bool)> watch_evaluation(std::function<void(bool)> set_training, MemorySituation& situation) {
  return [set_training = std::move(set_training), &situation](bool on) {
    if (on)
      back_to_steps(&situation);
    else
      after_last_step(&situation, Phase::kEvaluation);
    set_training(on);
  };
}

train::WeightFiles watch_saving(train::WeightFiles files, MemorySituation& situation) {
  files.save = around(std::move(files.save), &situation);
  files.save_final = around(std::move(files.save_final), &situation);
  return files;
}

}  // namespace graft::app
