#include "graft/train/metrics_file.h"

#include <sys/resource.h>

#include <csignal>
#include <limits>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace graft::train;

namespace {

StepRow row(int64_t step) {
  StepRow result;
  result.step = step;
  result.loss = 2.5;
  return result;
}

std::vector<std::string> lines(const std::filesystem::path& path) {
  auto all = graft::split(graft::read_file(path), '\n');
  all.pop_back();
  return all;
}

}  // namespace

TEST_CASE("a metrics row has the promised keys in order, and null for what is not finite", "[train]") {
  auto values = row(3);
  values.grad_norm = std::numeric_limits<double>::infinity();
  values.loss = std::numeric_limits<double>::quiet_NaN();
  const auto json = graft::parse_json(to_json_line(values), "row");
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "supervised_tokens",
                                         "tokens_per_second", "step_seconds", "peak_memory_bytes"});
  CHECK(json["loss"].is_null());
  CHECK(json["grad_norm"].is_null());
  CHECK(to_json_line(EvaluationRow{4, 1.5, 100, 0.25}) == R"({"step":4,"eval_loss":1.5,"eval_tokens":100,"eval_accuracy":0.25})");
}

TEST_CASE("on resume rows newer than the checkpoint and a torn last row are dropped, older ones stay byte for byte", "[train]") {
  TemporaryDirectory directory;
  const auto path = directory.path() / "metrics.jsonl";
  {
    MetricsFile file(path);
    file.on_start({});
    for (int64_t step = 1; step <= 6; ++step) {
      file.on_step(row(step), step % 2 == 0);
      if (step % 4 == 0) file.on_evaluation({step, 1.0, 10, 0.5});
    }
  }
  const auto before = lines(path);  // 2, 4, eval 4, 6
  REQUIRE(before.size() == 4);
  graft::write_file(path, graft::read_file(path) + "{\"step\":8,\"lo");
  SECTION("after step 4 with its evaluation") {
    RunStart start;
    start.step = 4;
    start.evaluated_step = 4;
    MetricsFile(path).on_start(start);
    CHECK(lines(path) == std::vector<std::string>(before.begin(), before.begin() + 3));
  }
  SECTION("after step 4 whose evaluation was cut short") {
    RunStart start;
    start.step = 4;
    start.evaluated_step = 2;
    MetricsFile(path).on_start(start);
    CHECK(lines(path) == std::vector<std::string>(before.begin(), before.begin() + 2));
  }
  SECTION("from the beginning") {
    MetricsFile(path).on_start({});
    CHECK(lines(path).empty());
  }
}

TEST_CASE("when the disk is full the row is refused with 74 and the file ends with a whole row", "[train]") {
  TemporaryDirectory directory;
  const auto path = directory.path() / "metrics.jsonl";
  MetricsFile file(path);
  file.on_start({});
  file.on_step(row(1), true);
  // A file-size limit stands in for the disk: write() stops in the middle of the second row.
  const auto size = std::filesystem::file_size(path);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{size + 20, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  int code = 0;
  try {
    file.on_step(row(2), true);
  } catch (const graft::Error& error) {
    code = static_cast<int>(error.code());
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, handler);
  CHECK(code == 74);
  CHECK(std::filesystem::file_size(path) == size);
}
