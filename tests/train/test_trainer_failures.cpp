#include <ATen/ops/equal.h>
#include <sys/resource.h>

#include <csignal>
#include <limits>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/train/manifest.h"
#include "graft/train/trainer.h"
#include "support/catch.h"
#include "support/temporary_directory.h"
#include "train/toy_model.h"

using namespace graft::train;

namespace {

TrainerOptions options(const std::filesystem::path& directory) {
  TrainerOptions result(20);
  result.learning_rate(0.01).log_every(1).checkpoint_every(4).output_dir(directory);
  return result;
}

int code_of(const std::function<void()>& action, std::string* text = nullptr) {
  try {
    action();
  } catch (const graft::Error& error) {
    if (text != nullptr) *text = error.what();
    return static_cast<int>(error.code());
  }
  return 0;
}

}  // namespace

TEST_CASE("TERM, USR1, USR2 and INT finish the step, save and end with 75; the next start goes on after it", "[train]") {
  for (const int signal : {SIGTERM, SIGUSR1, SIGUSR2, SIGINT}) {
    TemporaryDirectory parent;
    ToyModel model;
    const auto run = [&](int64_t raise_at, const std::shared_ptr<Recorder>& recorder) {
      Trainer(model.loss(), model.parameters(), toy_steps(4), options(parent.path()))
          .before_micro_batch([=](int64_t step, int64_t micro) {
            if (step == raise_at && micro == 0) ::raise(signal);
          })
          .observe(recorder)
          .run();
    };
    std::string text;
    const auto first = std::make_shared<Recorder>(), second = std::make_shared<Recorder>();
    CHECK(code_of([&] { run(6, first); }, &text) == 75);
    CHECK_THAT(text, Contains("state is saved"));
    // The flag is read when the step begins and when it ends: the step under way is the last.
    CHECK(first->steps.back().step == 6);
    CHECK(verify_manifest(parent.path() / "checkpoints" / "step-00000006").empty());
    run(0, second);
    CHECK(second->steps.front().step == 7);
  }
}

TEST_CASE("a stop at a step whose checkpoint stands does not write it a second time", "[train]") {
  TemporaryDirectory parent;
  ToyModel model;
  const auto recorder = std::make_shared<Recorder>();
  Trainer trainer(model.loss(), model.parameters(), toy_steps(4), options(parent.path()));
  trainer
      .before_micro_batch([](int64_t step, int64_t micro) {
        if (step == 8 && micro == 0) ::raise(SIGTERM);
      })
      .observe(recorder);
  std::string text;
  CHECK(code_of([&] { trainer.run(); }, &text) == 75);
  CHECK_THAT(text, Contains("after step 8") && Contains("state is saved"));
  CHECK(recorder->checkpoints == std::vector<int64_t>{4, 8});
  CHECK(verify_manifest(parent.path() / "checkpoints" / "step-00000008").empty());
}

TEST_CASE("a signal during an evaluation puts it off to the next start, and no row is doubled or missing", "[train]") {
  TemporaryDirectory parent;
  const auto run = [&](bool raise_in_evaluation) {
    ToyModel model;
    const auto inner = model.loss();
    Trainer(
        [=](const DeviceBatch& batch) {
          if (!batch.training && raise_in_evaluation) ::raise(SIGTERM);
          return inner(batch);
        },
        model.parameters(), toy_steps(4), options(parent.path()).evaluate_every(5))
        .evaluate_on([] {
          return std::vector<graft::data::Batch>{toy_batch({{1}}), toy_batch({{2}})};
        })
        .run();
  };
  CHECK(code_of([&] { run(true); }) == 75);
  run(false);
  std::vector<int64_t> steps, evaluations;
  for (const auto& line : graft::split(graft::read_file(parent.path() / "metrics.jsonl"), '\n')) {
    if (line.empty()) continue;
    const auto json = graft::parse_json(line, "row");
    (json.contains("eval_loss") ? evaluations : steps).push_back(json["step"].get<int64_t>());
  }
  CHECK(evaluations == std::vector<int64_t>{5, 10, 15, 20});
  CHECK(steps.size() == 20);
}

TEST_CASE("a loss or a gradient that is not finite stops the run before its update with 76", "[train]") {
  for (const bool in_gradient : {false, true}) {
    TemporaryDirectory parent;
    ToyModel model;
    const auto inner = model.loss();
    int64_t step = 0;
    at::Tensor before;
    Trainer trainer(
        [&](const DeviceBatch& batch) {
          auto result = inner(batch);
          if (step != 7) return result;
          before = model.hidden.detach().clone();
          // sqrt at 0 has an infinite derivative and the value 0: the loss stays finite.
          if (in_gradient)
            result.loss_sum = result.loss_sum + (model.hidden.sum() * 0).sqrt();
          else
            result.loss_sum = result.loss_sum * std::numeric_limits<double>::infinity();
          return result;
        },
        model.parameters(), toy_steps(4), options(parent.path()));
    trainer.before_micro_batch([&](int64_t now, int64_t) { step = now; });
    std::string text;
    CHECK(code_of([&] { trainer.run(); }, &text) == 76);
    CHECK_THAT(text, Contains("step 7"));
    CHECK_THAT(text, Contains(in_gradient ? "gradient of hidden" : "micro-batch 1 of 2"));
    CHECK_THAT(text, Contains("step-00000004"));
    CHECK(at::equal(model.hidden.detach(), before));
    const auto lines = graft::split(graft::read_file(parent.path() / "metrics.jsonl"), '\n');
    CHECK(graft::parse_json(lines[6], "row")[in_gradient ? "grad_norm" : "loss"].is_null());
    const auto run = RunDirectory::open(parent.path(), "");
    CHECK(run->newest_valid_checkpoint()->state.step == 4);
  }
}

TEST_CASE("a disk that fills up ends the run with 74 and leaves every earlier checkpoint whole and no litter", "[train]") {
  TemporaryDirectory parent;
  ToyModel model;
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  Trainer trainer(model.loss(), model.parameters(), toy_steps(4), options(parent.path()));
  trainer.before_micro_batch([&](int64_t step, int64_t micro) {
    if (step != 8 || micro != 0) return;
    const rlimit tight{3000, old.rlim_max};  // less than the optimizer's state, more than the metrics so far and the weights
    ::setrlimit(RLIMIT_FSIZE, &tight);
  });
  const int code = code_of([&] { trainer.run(); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);
  CHECK(code == 74);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(parent.path() / "checkpoints")) {
    names.push_back(entry.path().filename().string());
    CHECK(verify_manifest(entry.path()).empty());
  }
  CHECK(names.size() == 2);
}

TEST_CASE("a load that is not the inverse of its save is found before step 1", "[train]") {
  TemporaryDirectory parent;
  ToyModel model;
  auto files = plain_weight_files(model.parameters());
  const auto load = files.load;
  files.load = [&](const std::filesystem::path& path) {
    load(path);
    const at::NoGradGuard no_grad;
    model.hidden.add_(1e-7);
  };
  CHECK(code_of([&] { Trainer(model.loss(), model.parameters(), toy_steps(4), options(parent.path())).save_with(files).run(); }) == 70);
}

TEST_CASE("a batch that miscounts its supervised tokens is refused: the loss is divided by that number", "[train]") {
  ToyModel model;
  const StepSource forgotten = [](int64_t step) {
    auto batches = toy_steps(8)(step);
    batches.micro_batches[0].supervised_tokens = 0;
    return batches;
  };
  std::string text;
  CHECK(code_of([&] { Trainer(model.loss(), model.parameters(), forgotten, TrainerOptions(2)).run(); }, &text) == 65);
  CHECK_THAT(text, Contains("0 supervised tokens") && Contains("Batch::supervised_tokens"));
  CHECK(to_device(forgotten(1).micro_batches[0], at::kCPU, /*training=*/false).supervised_tokens > 0);  // an evaluation counts for itself
}

TEST_CASE("a parameter that requires no gradient is refused by its name", "[train]") {
  ToyModel model;
  model.hidden.set_requires_grad(false);
  std::string text;
  CHECK(code_of([&] { Trainer(model.loss(), model.parameters(), toy_steps(8), TrainerOptions(2)).run(); }, &text) == 64);
  CHECK_THAT(text, Contains("hidden") && Contains("activate()"));
}

TEST_CASE("a signal that stopped one run does not stop the next", "[train]") {
  ToyModel model;
  const auto stopped = [&] {
    Trainer(model.loss(), model.parameters(), toy_steps(8), TrainerOptions(3))
        .before_micro_batch([](int64_t, int64_t) { ::raise(SIGTERM); })
        .run();
  };
  CHECK(code_of(stopped) == 75);
  CHECK(Trainer(model.loss(), model.parameters(), toy_steps(8), TrainerOptions(3).handle_signals(false)).run().step == 3);
}

TEST_CASE("a run that goes on from a checkpoint says so, though nobody asked for a console", "[train]") {
  TemporaryDirectory parent;
  const auto log = parent.path() / "lines.txt";
  const auto run = [&] {
    ToyModel model;
    Trainer(model.loss(), model.parameters(), toy_steps(8), options(parent.path() / "run")).run();
    return graft::read_file(log);
  };
  graft::log::copy_to_file(log);
  CHECK_THAT(run(), !Contains("restored"));
  CHECK_THAT(run(), Contains("restored step 20 of 20 from") && Contains("step-00000020"));
  graft::log::copy_to_file("/dev/null");
}
