#include "graft/train/run_directory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/train/manifest.h"
#include "graft/train/report.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

using graft::train::RunDirectory;
using graft::train::TrainerState;

namespace {

void make_checkpoint(const RunDirectory& directory, int64_t step, const std::string& recipe, const std::string& data = "") {
  const auto path = directory.checkpoint(step);
  std::filesystem::create_directories(path);
  TrainerState state;
  state.step = step;
  state.steps = 100;
  state.identity.recipe = recipe;
  state.identity.dataset = data;
  graft::write_file(path / "state.json", to_json(state));
  graft::write_file(path / "weights", "weights of step " + std::to_string(step));
  graft::train::write_manifest(path);
}

int exit_code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const graft::Error& error) {
    return static_cast<int>(error.code());
  }
  return 0;
}

}  // namespace

TEST_CASE("a second process into a live run directory is refused with 73 and told who has it", "[train]") {
  TemporaryDirectory parent;
  const auto directory = RunDirectory::open(parent.path() / "run", "recipe-a");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(exit_code_of([&] { RunDirectory::open(parent.path() / "run", "recipe-a"); }));
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 73);
  CHECK_THROWS_WITH(RunDirectory::open(parent.path() / "run", "recipe-a"), Contains("process " + std::to_string(::getpid())));
}

TEST_CASE("the lock of a process that died is taken over", "[train]") {
  TemporaryDirectory parent;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto kept = RunDirectory::open(parent.path() / "run", "recipe-a");
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(RunDirectory::open(parent.path() / "run", "recipe-a")->identity() == "recipe-a");
}

TEST_CASE("a directory with another recipe's run, or with results of unknown origin, is refused with 73", "[train]") {
  TemporaryDirectory parent;
  RunDirectory::open(parent.path() / "run", "recipe-a");
  CHECK(exit_code_of([&] { RunDirectory::open(parent.path() / "run", "recipe-b"); }) == 73);
  std::filesystem::create_directories(parent.path() / "foreign" / "adapter");
  CHECK(exit_code_of([&] { RunDirectory::open(parent.path() / "foreign", "recipe-a"); }) == 73);
  graft::write_file(parent.path() / "file", "x");
  CHECK(exit_code_of([&] { RunDirectory::open(parent.path() / "file", "recipe-a"); }) == 73);
}

TEST_CASE("resuming what is not there is a usage error, what is not a run a data error", "[train]") {
  TemporaryDirectory parent;
  CHECK(exit_code_of([&] { RunDirectory::open_existing(parent.path() / "nothing"); }) == 64);
  CHECK(exit_code_of([&] { RunDirectory::open_existing(parent.path()); }) == 65);
}

TEST_CASE("the newest whole checkpoint is found, damaged and foreign ones are passed over", "[train]") {
  TemporaryDirectory parent;
  const auto run = RunDirectory::open(parent.path() / "run", "recipe-a");
  CHECK_FALSE(run->newest_valid_checkpoint().has_value());
  make_checkpoint(*run, 10, "recipe-a");
  make_checkpoint(*run, 20, "recipe-a");
  make_checkpoint(*run, 30, "recipe-a");
  make_checkpoint(*run, 40, "recipe-b");                            // of another run
  std::filesystem::create_directories(run->checkpoint(50));         // somebody's empty folder
  std::filesystem::copy(run->checkpoint(20), run->checkpoint(60));  // step 20 under the name of 60
  graft::write_file(run->checkpoint(30) / "weights", "cut");
  const auto found = run->newest_valid_checkpoint();
  REQUIRE(found.has_value());
  CHECK(found->state.step == 20);
}

TEST_CASE("when no checkpoint is whole the run is not restarted silently", "[train]") {
  TemporaryDirectory parent;
  const auto run = RunDirectory::open(parent.path() / "run", "recipe-a");
  make_checkpoint(*run, 10, "recipe-a");
  graft::write_file(run->checkpoint(10) / "state.json", "");
  CHECK(exit_code_of([&] { run->newest_valid_checkpoint(); }) == 65);
  CHECK_THROWS_WITH(run->newest_valid_checkpoint(), Contains("state.json is 0 bytes"));
}

TEST_CASE("pruning keeps the newest and the best, and touches nothing that is not this run's", "[train]") {
  TemporaryDirectory parent;
  const auto run = RunDirectory::open(parent.path() / "run", "recipe-a");
  for (const int64_t step : {0, 10, 20, 30, 40}) make_checkpoint(*run, step, "recipe-a");
  make_checkpoint(*run, 15, "recipe-b");
  make_checkpoint(*run, 90, "recipe-a");  // newer than what is saved now: left by a run that fell back past it
  std::filesystem::create_directories(run->checkpoints() / "notes");
  std::filesystem::create_directories(run->checkpoint(5));
  run->prune(40, /*keep=*/2, /*best_step=*/10);
  CHECK(run->checkpoint_steps() == std::vector<int64_t>{90, 40, 30, 15, 10, 5});
  CHECK(std::filesystem::exists(run->checkpoints() / "notes"));
}

TEST_CASE("a checkpoint of this recipe on other data is passed over when there is one on this data", "[train]") {
  TemporaryDirectory parent;
  const auto run = RunDirectory::open(parent.path() / "run", "recipe-a");
  make_checkpoint(*run, 10, "recipe-a", "mine");
  make_checkpoint(*run, 20, "recipe-a", "mine");
  make_checkpoint(*run, 30, "recipe-a", "copied in");
  const auto check_for = [](const std::string& data) {
    return [data](const graft::train::Checkpoint& found) { check_identity(found.state, {"recipe-a", data, ""}, 100, found.path.string()); };
  };
  const auto log = parent.path() / "lines.txt";
  graft::log::copy_to_file(log);
  const auto found = run->newest_valid_checkpoint(check_for("mine"));
  graft::log::copy_to_file("/dev/null");
  REQUIRE(found.has_value());
  CHECK(found->state.step == 20);
  const std::string said = graft::read_file(log);
  CHECK_THAT(said,
             Contains("step-00000030 is not used: the training data changed") && Contains("falling back to") && Contains("step-00000020"));
  make_checkpoint(*run, 40, "recipe-a", "mine");
  run->prune(40, /*keep=*/2, /*best_step=*/-1);
  CHECK(run->checkpoint_steps() == std::vector<int64_t>{40, 30, 20});
  CHECK_THROWS_WITH(run->newest_valid_checkpoint(check_for("new")), Contains("training data changed") && Contains("step-00000040"));
}

TEST_CASE("a damaged checkpoint does not count among those that are kept", "[train]") {
  TemporaryDirectory parent;
  const auto run = RunDirectory::open(parent.path() / "run", "recipe-a");
  for (const int64_t step : {10, 20, 30}) make_checkpoint(*run, step, "recipe-a");
  graft::write_file(run->checkpoint(30) / "weights", "cut");  // its state.json can be read
  REQUIRE(run->newest_valid_checkpoint()->state.step == 20);
  make_checkpoint(*run, 40, "recipe-a");
  run->prune(40, /*keep=*/2, /*best_step=*/-1);
  CHECK(run->checkpoint_steps() == std::vector<int64_t>{40, 30, 20});
  make_checkpoint(*run, 50, "recipe-a");
  run->prune(50, /*keep=*/2, /*best_step=*/-1);
  CHECK(run->checkpoint_steps() == std::vector<int64_t>{50, 40});
}

TEST_CASE("a damaged checkpoint that was saved anew counts again", "[train]") {
  TemporaryDirectory parent;
  const auto run = RunDirectory::open(parent.path() / "run", "recipe-a");
  for (const int64_t step : {10, 20, 30}) make_checkpoint(*run, step, "recipe-a");
  graft::write_file(run->checkpoint(30) / "weights", "cut");
  REQUIRE(run->newest_valid_checkpoint()->state.step == 20);
  make_checkpoint(*run, 30, "recipe-a");
  run->prune(30, /*keep=*/1, /*best_step=*/-1);
  CHECK(run->checkpoint_steps() == std::vector<int64_t>{30});
}

TEST_CASE("a file in a checkpoint's place is moved aside and said", "[train]") {
  TemporaryDirectory parent;
  const auto checkpoints = parent.path() / "run" / "checkpoints";
  const auto log = parent.path() / "lines.txt";
  make_checkpoint(*RunDirectory::open(parent.path() / "run", "recipe-a"), 10, "recipe-a");
  graft::log::copy_to_file(log);
  for (const char* name : {"step-00000020", "step-7", "notes"}) graft::write_file(checkpoints / name, "mine");
  RunDirectory::open(parent.path() / "run", "recipe-a");
  std::filesystem::create_symlink("nowhere", checkpoints / "step-00000020");
  const auto run = RunDirectory::open_existing(parent.path() / "run");
  graft::log::copy_to_file("/dev/null");
  CHECK_THAT(graft::read_file(log), Contains("step-00000020 is not used: it is not a directory"));
  for (const char* name : {"step-00000020.not-a-checkpoint", "step-7", "notes"}) CHECK(graft::read_file(checkpoints / name) == "mine");
  CHECK(std::filesystem::is_symlink(checkpoints / "step-00000020.not-a-checkpoint-2"));
  CHECK_FALSE(std::filesystem::exists(std::filesystem::symlink_status(checkpoints / "step-00000020")));
  CHECK(run->newest_valid_checkpoint()->state.step == 10);
}

TEST_CASE("a run's totals come back from their file, and a damaged one stops nobody", "[train]") {
  TemporaryDirectory parent;
  const auto path = parent.path() / "totals.json";
  CHECK(graft::train::read_totals(path).seconds == 0);
  graft::train::write_totals(path, {12.5, 0.1, 345, int64_t{1} << 40});
  const auto totals = graft::train::read_totals(path);
  CHECK(totals.seconds == 12.5);
  CHECK(totals.training_seconds == 0.1);
  CHECK(totals.trained_tokens == 345);
  CHECK(totals.peak_memory_bytes == int64_t{1} << 40);
  for (const char* text : {"", "{", "[]", "{\"seconds\": \"long\"}"}) {
    graft::write_file(path, text);
    CHECK(graft::train::read_totals(path).seconds == 0);
  }
}

TEST_CASE("what a killed save left behind is removed on the next start, what was moved aside is put back", "[train]") {
  TemporaryDirectory parent;
  const auto checkpoints = parent.path() / "run" / "checkpoints";
  RunDirectory::open(parent.path() / "run", "recipe-a");
  std::filesystem::create_directories(checkpoints / ".step-00000010.tmp-host-1-0");
  std::filesystem::create_directories(checkpoints / ".step-00000020.old-host-1-0");
  std::filesystem::create_directories(checkpoints / "notes.tmp-mine");
  graft::write_file(parent.path() / "run" / "report.json.tmp-123", "{");
  const auto run = RunDirectory::open(parent.path() / "run", "recipe-a");
  CHECK_FALSE(std::filesystem::exists(checkpoints / ".step-00000010.tmp-host-1-0"));
  CHECK(std::filesystem::exists(checkpoints / "step-00000020"));
  CHECK(std::filesystem::exists(checkpoints / "notes.tmp-mine"));
  CHECK_FALSE(std::filesystem::exists(parent.path() / "run" / "report.json.tmp-123"));
}

TEST_CASE("a trainer state comes back from its text, and refuses other data, base or length", "[train]") {
  TrainerState state;
  state.step = 12;
  state.steps = 40;
  state.loss = 0.1;  // not a binary fraction: needs the shortest exact form
  state.best_metric = 1.0 / 3;
  state.identity = {"r", "d", "b"};
  const auto text = to_json(state);
  CHECK(to_json(graft::train::parse_state(text, "state.json")) == text);
  CHECK(exit_code_of([&] { check_identity(state, {"r", "d", "b"}, 40, "x"); }) == 0);
  CHECK(exit_code_of([&] { check_identity(state, {"other", "d", "b"}, 40, "x"); }) == 73);
  CHECK_THROWS_WITH(check_identity(state, {"r", "other", "b"}, 40, "x"), Contains("training data changed"));
  CHECK_THROWS_WITH(check_identity(state, {"r", "d", "other"}, 40, "x"), Contains("base model changed"));
  CHECK_THROWS_WITH(check_identity(state, {"r", "d", "b"}, 50, "x"), Contains("40 then, 50 now"));
  CHECK_THROWS_WITH(graft::train::parse_state("{\"format\":9}", "state.json"), Contains("format is 9"));
}
