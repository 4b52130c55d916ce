#include "graft/train/console.h"

#include <cmath>
#include <cstdio>
#include <map>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"

namespace graft::train {
namespace {

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string bar(double done) {
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(std::lround(done * kWidth));
  return "[" + std::string(static_cast<size_t>(filled), '#') + std::string(static_cast<size_t>(kWidth - filled), '.') + "]";
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  const auto total = static_cast<long long>(std::llround(seconds));
  const long long days = total / 86400, hours = total / 3600 % 24, minutes = total / 60 % 60;
  if (days > 0) return format("%lldd %lldh", days, hours);
  if (hours > 0) return format("%lld:%02lld:%02lld", hours, minutes, total % 60);
  return format("%lld:%02lld", minutes, total % 60);
}

ConsoleOptions::Progress parse_progress(const std::string& name) {
  using Progress = ConsoleOptions::Progress;
  static const std::map<std::string, Progress> known = {
      {"auto", Progress::kAuto}, {"bar", Progress::kBar}, {"lines", Progress::kLines}, {"none", Progress::kNone}};
  const auto found = known.find(name);
  if (found != known.end()) return found->second;
  throw RecipeError("unknown progress \"" + name + "\"")
      .nearest(nearest_name(name, {"auto", "bar", "lines", "none"}))
      .hint("choose auto, bar, lines or none");
}

Console::Console(ConsoleOptions options) : options_(options) {
  using Progress = ConsoleOptions::Progress;
  const bool automatic = options.progress == Progress::kAuto, terminal = log::stderr_is_terminal();
  bar_ = options.rows && (options.progress == Progress::kBar || (automatic && terminal));
  lines_ = options.rows && (options.progress == Progress::kLines || (automatic && !terminal));
}

/// What stderr does not show is in log.txt all the same.
void Console::row(const std::string& line, bool shown) const { shown ? log::info(line) : log::verbose(line); }

void Console::on_start(const RunStart& start) {
  start_ = start;
  log::info((start.step > 0 ? "continuing after step " + format_count(start.step) + " of " : "training for ") + format_count(start.steps) +
            " steps; " + format_count(start.trainable_parameters) + " trainable parameters");
}

void Console::on_step(const StepRow& step, bool logged) {
  average_seconds_ = average_seconds_ == 0 ? step.step_seconds : 0.9 * average_seconds_ + 0.1 * step.step_seconds;
  const std::string left = format_duration(average_seconds_ * static_cast<double>(start_.steps - step.step));
  if (logged)
    row(format("step %lld/%lld  loss %.4f  lr %.3g  grad norm %.3g  %.0f tokens/s  %s  left %s", static_cast<long long>(step.step),
               static_cast<long long>(start_.steps), step.loss, step.learning_rate, step.grad_norm, step.tokens_per_second,
               format_bytes(static_cast<double>(step.peak_memory_bytes)).c_str(), left.c_str()),
        lines_);
  if (!bar_) return;
  const double done = static_cast<double>(step.step) / static_cast<double>(start_.steps);
  log::status(
      format("%s %3.0f%%  %lld/%lld  loss %.4f  %.0f tokens/s  left %s", bar(done).c_str(), 100 * done, static_cast<long long>(step.step),
             static_cast<long long>(start_.steps), step.loss, step.tokens_per_second, left.c_str()),
      /*anywhere=*/true);
}

void Console::on_evaluation(const EvaluationRow& found) {
  row(format("step %lld  evaluation: loss %.4f  perplexity %.3f  accuracy %.2f%%  (%lld tokens)", static_cast<long long>(found.step),
             found.eval_loss, std::exp(found.eval_loss), 100 * found.eval_accuracy, static_cast<long long>(found.eval_tokens)),
      options_.rows);
}

void Console::on_checkpoint(int64_t step, const std::filesystem::path& path) {
  log::verbose("step " + std::to_string(step) + "  saved " + path.string());
}

void Console::on_end(const RunResult& result) {
  if (bar_) log::status("", /*anywhere=*/true);
  log::info(format("done: %lld steps, %s tokens in %s, %.0f tokens/s, peak memory %s, last loss %.4f", static_cast<long long>(result.step),
                   format_count(result.tokens).c_str(), format_duration(result.seconds).c_str(), result.tokens_per_second,
                   format_bytes(static_cast<double>(result.peak_memory_bytes)).c_str(), result.loss));
  if (result.best_step >= 0)
    log::info(format("best evaluation %.4f at step %lld", result.best_metric.value_or(0), static_cast<long long>(result.best_step)));
}

Console::~Console() {
  if (bar_) log::status("", /*anywhere=*/true);
}

}  // namespace graft::train
