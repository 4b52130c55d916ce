#include <ATen/ops/equal.h>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/train/manifest.h"
#include "graft/train/report.h"
#include "graft/train/trainer.h"
#include "support/catch.h"
#include "support/temporary_directory.h"
#include "train/toy_model.h"

using namespace graft::train;

namespace {

constexpr int64_t kSteps = 24;

TrainerOptions options(const std::filesystem::path& directory) {
  ScheduleOptions schedule;
  schedule.type = ScheduleOptions::Type::kLinear;
  schedule.learning_rate = 0.02;
  RunIdentity identity{"recipe", "data", "base"};
  TrainerOptions result(kSteps);
  result.schedule(schedule).log_every(2).checkpoint_every(5).evaluate_every(4).keep(2).identity(identity).output_dir(directory);
  return result;
}

/// Dies, like a process would, at the given step's first micro-batch.
struct Crash {};

/// Dies behind the save of a step, when that checkpoint stands.
struct CrashAfterSave : Recorder {
  int64_t step;
  explicit CrashAfterSave(int64_t after) : step(after) {}
  void on_checkpoint(int64_t saved, const std::filesystem::path&) override {
    if (saved == step) throw Crash();
  }
};

RunResult train_with(const TrainerOptions& how, int64_t crash_at, const std::shared_ptr<Recorder>& recorder) {
  ToyModel model;  // every start builds the model anew
  model.dropout = 0.2;
  return Trainer(model.loss(), model.parameters(), toy_steps(4), how)
      .evaluate_on([] {
        return std::vector<graft::data::Batch>{toy_batch({{1}, {2}}), toy_batch({{3}})};
      })
      .set_training_with([&](bool on) { model.training = on; })
      .before_micro_batch([crash_at](int64_t step, int64_t) {
        if (step == crash_at) throw Crash();
      })
      .observe(recorder)
      .run();
}

RunResult train(const std::filesystem::path& directory, int64_t crash_at = 0,
                const std::shared_ptr<Recorder>& recorder = std::make_shared<Recorder>()) {
  return train_with(options(directory), crash_at, recorder);
}

std::string final_weights(const std::filesystem::path& directory) {
  return graft::read_file(directory / "adapter" / "weights.safetensors");
}

/// (step, loss) of all rows, without what depends on the clock.
std::vector<std::string> rows(const std::filesystem::path& directory) {
  std::vector<std::string> result;
  for (const auto& line : graft::split(graft::read_file(directory / "metrics.jsonl"), '\n')) {
    if (line.empty()) continue;
    auto json = graft::parse_json(line, "row");
    for (const char* key : {"step_seconds", "tokens_per_second", "peak_memory_bytes"}) json.erase(key);
    result.push_back(graft::dump_json(json));
  }
  return result;
}

}  // namespace

TEST_CASE("however often and wherever a run dies, the final weights and metrics rows are those of an undisturbed run", "[train]") {
  TemporaryDirectory parent;
  train(parent.path() / "undisturbed");
  graft::RandomStream random(3, "crash");
  for (int round = 0; round < 4; ++round) {
    const auto directory = parent.path() / ("run" + std::to_string(round));
    for (int death = 0; death < 6; ++death) {
      const auto step = 1 + static_cast<int64_t>(random.below(kSteps));
      try {
        train(directory, step);
      } catch (const Crash&) {
      }
    }
    train(directory);
    CHECK(final_weights(directory) == final_weights(parent.path() / "undisturbed"));
    CHECK(rows(directory) == rows(parent.path() / "undisturbed"));
  }
  CHECK(rows(parent.path() / "undisturbed").size() == kSteps / 2 + kSteps / 4);
}

TEST_CASE("resuming asks for no earlier step: the work done is not done again", "[train]") {
  TemporaryDirectory parent;
  CHECK_THROWS_AS(train(parent.path(), 18), Crash);
  const auto recorder = std::make_shared<Recorder>();
  const auto result = train(parent.path(), 0, recorder);
  // An evaluation that is the best so far saves too, so the newest checkpoint is 15 or 16.
  CHECK(result.resumed_from >= 15);
  CHECK(recorder->steps.front().step == result.resumed_from + 1);
}

TEST_CASE("a checkpoint stands before step 1 and passes its own read-back", "[train]") {
  TemporaryDirectory parent;
  CHECK_THROWS_AS(train(parent.path(), 1), Crash);
  CHECK(verify_manifest(parent.path() / "checkpoints" / "step-00000000").empty());
}

TEST_CASE("a corrupt newest checkpoint is passed over and the result is still the same", "[train]") {
  TemporaryDirectory parent;
  train(parent.path() / "undisturbed");
  CHECK_THROWS_AS(train(parent.path() / "run", 18), Crash);
  const auto run = RunDirectory::open(parent.path() / "run", "recipe");
  const auto newest = run->checkpoint_steps().front();
  auto bytes = graft::read_file(run->checkpoint(newest) / "weights.safetensors");
  bytes.back() ^= 1;
  graft::write_file(run->checkpoint(newest) / "weights.safetensors", bytes);
  ToyModel model;
  CHECK(run->newest_valid_checkpoint()->state.step < newest);
}

TEST_CASE("the best checkpoint is kept besides the newest", "[train]") {
  TemporaryDirectory parent;
  const auto result = train(parent.path());
  const auto run = RunDirectory::open(parent.path(), "recipe");
  const auto steps = run->checkpoint_steps();
  CHECK(std::count(steps.begin(), steps.end(), result.best_step) == 1);
  CHECK(steps.size() <= 3);
  CHECK(steps.front() == kSteps);
}

TEST_CASE("a finished run that is run again does nothing and ends the same", "[train]") {
  TemporaryDirectory parent;
  train(parent.path());
  const auto weights = final_weights(parent.path());
  const auto before = rows(parent.path());
  CHECK(RunDirectory::open(parent.path(), "recipe")->finished());
  const auto recorder = std::make_shared<Recorder>();
  train(parent.path(), 1, recorder);
  CHECK(recorder->steps.empty());
  CHECK(final_weights(parent.path()) == weights);
  CHECK(rows(parent.path()) == before);
}

TEST_CASE("other data or another base under the same recipe is refused before anything is trained", "[train]") {
  TemporaryDirectory parent;
  CHECK_THROWS_AS(train(parent.path(), 8), Crash);
  ToyModel model;
  auto changed = options(parent.path());
  changed.identity(RunIdentity{"recipe", "other data", "base"});
  CHECK_THROWS_WITH(
      Trainer(model.loss(), model.parameters(), toy_steps(4), changed).evaluate_on([] { return std::vector<graft::data::Batch>{}; }).run(),
      Contains("training data changed"));
}

TEST_CASE("a checkpoint copied in from a run on other data does not stop the run whose directory it is", "[train]") {
  TemporaryDirectory parent;
  train(parent.path() / "undisturbed");
  auto other = options(parent.path() / "other");
  other.identity(RunIdentity{"recipe", "other data", "base"});
  train_with(other, 0, std::make_shared<Recorder>());
  CHECK_THROWS_AS(train(parent.path() / "run", 18), Crash);
  const auto newest = "checkpoints/step-000000" + std::to_string(kSteps);
  std::filesystem::copy(parent.path() / "other" / newest, parent.path() / "run" / newest);
  const auto result = train(parent.path() / "run");
  CHECK(result.resumed_from >= 15);
  CHECK(result.resumed_from < 18);
  CHECK(final_weights(parent.path() / "run") == final_weights(parent.path() / "undisturbed"));
}

TEST_CASE("old checkpoints that a kill behind the last save left are deleted by the next start", "[train]") {
  TemporaryDirectory parent;
  CHECK_THROWS_AS(train(parent.path() / "run", 18), Crash);
  const auto checkpoints = parent.path() / "run" / "checkpoints";
  const auto oldest = RunDirectory::open(parent.path() / "run", "recipe")->checkpoint_steps().back();
  const auto name = RunDirectory::open(parent.path() / "run", "recipe")->checkpoint(oldest).filename();
  REQUIRE(oldest < kSteps - 5);
  std::filesystem::copy(checkpoints / name, parent.path() / name);
  CHECK_THROWS_AS(train(parent.path() / "run", 0, std::make_shared<CrashAfterSave>(kSteps)), Crash);
  std::filesystem::remove_all(checkpoints / name);
  std::filesystem::copy(parent.path() / name, checkpoints / name);
  const auto result = train(parent.path() / "run");
  CHECK(result.resumed_from == kSteps);
  const auto steps = RunDirectory::open(parent.path() / "run", "recipe")->checkpoint_steps();
  CHECK(steps.size() <= 3);  // the newest two and the best
  CHECK((oldest == result.best_step || steps.back() != oldest));
}

TEST_CASE("a report sums time and tokens and takes the highest memory over all starts of a run", "[train]") {
  TemporaryDirectory parent;
  const auto first = std::make_shared<CrashAfterSave>(kSteps);
  CHECK_THROWS_AS(train(parent.path(), 0, first), Crash);
  double trained = 0;
  for (const auto& row : first->steps) trained += row.step_seconds;
  auto totals = read_totals(parent.path() / "totals.json");
  CHECK(totals.training_seconds == Approx(trained));
  CHECK(totals.trained_tokens == first->steps.back().tokens);
  totals.peak_memory_bytes = int64_t{1} << 50;
  write_totals(parent.path() / "totals.json", totals);
  const auto result = train(parent.path());  // there is no step left
  CHECK(result.seconds > totals.seconds);
  const auto report = graft::read_json((parent.path() / "report.json").string());
  CHECK(report["seconds"].get<double>() == result.seconds);
  CHECK(report["tokens_per_second"].get<double>() == Approx(static_cast<double>(totals.trained_tokens) / trained));
  CHECK(report["peak_memory_bytes"].get<int64_t>() == int64_t{1} << 50);
}
