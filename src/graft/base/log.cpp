#include "graft/base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "graft/base/error.h"

namespace graft::log {
namespace {

struct State {
  std::mutex mutex;
  Level level = Level::kNormal;
  Color color = Color::kAuto;
  std::string status_line;
  std::unique_ptr<spdlog::logger> file;
};

State& state() {
  static State instance;
  return instance;
}

void write_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void line(std::string_view prefix, const char* color, std::string_view text, bool to_console) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (to_console) {
    std::string out;
    if (!s.status_line.empty()) out += "\r\033[K";
    if (*color != 0 && use_color()) {
      out.append(color).append(prefix).append("\033[0m");
    } else {
      out += prefix;
    }
    out.append(text).append("\n").append(s.status_line);
    write_stderr(out);
  }
  if (s.file) {
    s.file->info("{}{}", prefix, text);
    s.file->flush();
  }
}

}  // namespace

void set_level(Level level) { state().level = level; }
void set_color(Color color) { state().color = color; }

void copy_to_file(const std::filesystem::path& path) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  try {
    s.file = std::make_unique<spdlog::logger>("graft", std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string()));
  } catch (const spdlog::spdlog_ex& error) {
    throw IoError(std::string("cannot write the log: ") + error.what()).at(path.string());
  }
  s.file->set_pattern("%Y-%m-%dT%H:%M:%S %v");
}

void info(std::string_view text) { line("", "", text, state().level != Level::kQuiet); }
void warning(std::string_view text) { line("warning: ", "\033[33m", text, true); }
void error(std::string_view text) { line("error: ", "\033[31m", text, true); }
void verbose(std::string_view text) { line("", "", text, state().level == Level::kVerbose); }

void status(std::string_view text, bool anywhere) {
  State& s = state();
  if (s.level == Level::kQuiet || !(anywhere || stderr_is_terminal())) return;
  const std::lock_guard lock(s.mutex);
  winsize size{};
  const size_t width = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79u;
  if (text.empty() && s.status_line.empty()) return;
  s.status_line = std::string(text.substr(0, width));
  write_stderr("\r\033[K" + s.status_line);
}

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

bool use_color() {
  const Color color = state().color;
  if (color != Color::kAuto) return color == Color::kAlways;
  const char* no_color = std::getenv("NO_COLOR");
  return stderr_is_terminal() && (no_color == nullptr || *no_color == 0);
}

}  // namespace graft::log
