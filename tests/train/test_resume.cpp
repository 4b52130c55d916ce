#include <ATen/ops/equal.h>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/train/manifest.h"
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

RunResult train(const std::filesystem::path& directory, int64_t crash_at = 0,
                const std::shared_ptr<Recorder>& recorder = std::make_shared<Recorder>()) {
  ToyModel model;  // every start builds the model anew
  model.dropout = 0.2;
  return Trainer(model.loss(), model.parameters(), toy_steps(4), options(directory))
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
