#include "graft/train/metrics_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/base/log.h"

namespace graft::train {
namespace {

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

/// How many leading bytes of the file hold after a resume at `start`: rows are in step order, so what is dropped is a suffix.
size_t bytes_to_keep(const std::string& text, const RunStart& start, const std::filesystem::path& path) {
  size_t begin = 0;
  for (int64_t number = 1; begin < text.size(); ++number) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) return begin;  // a row that was being written when the process died
    const std::string place = path.string() + ":" + std::to_string(number);
    try {
      const Json row = parse_json(text.substr(begin, end - begin), place);
      const auto step = row.at("step").get<int64_t>();
      if (step > (row.contains("eval_loss") ? start.evaluated_step : start.step)) return begin;
    } catch (const std::exception&) {
      if (end + 1 == text.size()) return begin;
      log::warning(place + ": this line is not a metrics row; it is left as it is");
    }
    begin = end + 1;
  }
  return begin;
}

}  // namespace

std::string to_json_line(const StepRow& row) {
  Json json;
  json["step"] = row.step;
  json["epoch"] = number(row.epoch);
  json["loss"] = number(row.loss);
  json["learning_rate"] = number(row.learning_rate);
  json["grad_norm"] = number(row.grad_norm);
  json["tokens"] = row.tokens;
  json["supervised_tokens"] = row.supervised_tokens;
  json["tokens_per_second"] = number(row.tokens_per_second);
  json["step_seconds"] = number(row.step_seconds);
  json["peak_memory_bytes"] = row.peak_memory_bytes;
  return dump_json(json);
}

std::string to_json_line(const EvaluationRow& row) {
  Json json;
  json["step"] = row.step;
  json["eval_loss"] = number(row.eval_loss);
  json["eval_tokens"] = row.eval_tokens;
  json["eval_accuracy"] = number(row.eval_accuracy);
  return dump_json(json);
}

void MetricsFile::on_start(const RunStart& start) {
  file_ = FileDescriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (file_.get() < 0) throw_io_error("cannot open the metrics file", path_, errno);
  const std::string text = read_file(path_);
  const size_t keep = bytes_to_keep(text, start, path_);
  if (keep < text.size() && ::ftruncate(file_.get(), static_cast<off_t>(keep)) != 0)
    throw_io_error("cannot drop the rows after the checkpoint", path_, errno);
  flush();
}

void MetricsFile::on_step(const StepRow& row, bool logged) {
  if (logged) append(to_json_line(row));
}

void MetricsFile::on_evaluation(const EvaluationRow& row) { append(to_json_line(row)); }

void MetricsFile::append(const std::string& line) {
  struct stat before {};
  if (::fstat(file_.get(), &before) != 0) throw_io_error("cannot write the metrics file", path_, errno);
  try {
    write_all(file_.get(), line + "\n", path_);
  } catch (const IoError&) {
    if (::ftruncate(file_.get(), before.st_size) != 0) log::warning(path_.string() + ": the last row is incomplete");
    throw;
  }
}

void MetricsFile::flush() {
  if (file_.get() >= 0 && ::fsync(file_.get()) != 0 && errno != EINVAL) throw_io_error("cannot flush the metrics file", path_, errno);
}

}  // namespace graft::train
