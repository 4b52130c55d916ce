#include "graft/train/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <memory>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/base/version.h"
#include "graft/train/manifest.h"

namespace graft::train {
namespace {

constexpr uint64_t kSmallFile = 1 << 20;

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown host";
}

/// Takes the lock or says who has it. The kernel drops a flock with its process, so a lock file alone never blocks anybody.
FileDescriptor lock_directory(const std::filesystem::path& directory) {
  const auto path = directory / ".lock";
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (file.get() < 0) throw_io_error("cannot create the run's lock file", path, errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw_io_error("cannot lock the run directory", path, errno);
    std::string holder = read_file(path, kSmallFile);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    throw InUseError("another process is training into this directory (" + (holder.empty() ? "just starting" : holder) + ")")
        .at(std::filesystem::absolute(directory).string())
        .hint("wait for it to end, stop it, or choose another output_dir");
  }
  const std::string text = "process " + std::to_string(::getpid()) + " on " + host_name() + "\n";
  if (::ftruncate(file.get(), 0) != 0) throw_io_error("cannot write the run's lock file", path, errno);
  write_all(file.get(), text, path);
  return file;
}

/// run.json, or null when there is none.
Json read_run(const std::filesystem::path& directory) {
  const auto path = directory / "run.json";
  return std::filesystem::exists(path) ? parse_json(read_file(path, kSmallFile), path.string(), 8) : Json();
}

std::optional<std::string> saved_identity(const std::filesystem::path& directory) {
  const auto path = directory / "run.json";
  const Json json = read_run(directory);
  if (json.is_null() && !std::filesystem::exists(path)) return std::nullopt;
  if (!json.is_object() || !json.contains("identity") || !json["identity"].is_string())
    throw DataError("run.json does not hold a run's identity").at(path.string()).hint("choose another output_dir");
  return json["identity"].get<std::string>();
}

bool report_says_finished(const std::filesystem::path& report) {
  if (!std::filesystem::exists(report)) return false;
  try {
    const Json json = parse_json(read_file(report, kSmallFile), report.string());
    return json.is_object() && json.value("finished", Json(false)) == Json(true);
  } catch (const DataError&) {
    return false;  // written again when the run's last checkpoint is finished anew
  }
}

void write_run(const std::filesystem::path& directory, const std::string& identity, bool saved_checkpoints) {
  Json json;
  json["format"] = 1;
  json["identity"] = identity;
  json["graft_version"] = kVersion;
  json["saved_checkpoints"] = saved_checkpoints;
  replace_file(directory / "run.json", dump_json(json, 2) + "\n");
}

/// A directory with files of ours and no identity is somebody's results: not ours to write into.
void refuse_foreign_results(const std::filesystem::path& directory) {
  for (const char* name : {"adapter", "model", "checkpoints", "metrics.jsonl", "report.json", "recipe.resolved.yaml", "log.txt"})
    if (std::filesystem::exists(directory / name))
      throw InUseError(std::string("the output directory already holds \"") + name + "\" but is not a run of this recipe")
          .at(std::filesystem::absolute(directory).string())
          .hint("choose another output_dir or move the old files away");
}

/// A killed save leaves hidden temporaries (io::AtomicDirectory's ".NAME.tmp-…" and ".NAME.old-…", replace_file's "NAME.tmp-PID").
/// With the lock held nobody is writing them any more. What was moved aside for a rename that never came is put back.
void remove_leftovers(const std::filesystem::path& directory) {
  std::error_code error;
  for (const auto& folder : {directory, directory / "checkpoints"}) {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) found.push_back(entry.path());
    for (const auto& path : found) {
      const std::string name = path.filename().string();
      const size_t aside = name.find(".old-"), temporary = name.find(".tmp-");
      const bool hidden = name[0] == '.';
      const bool replaced = temporary != std::string::npos && name.find_first_not_of("0123456789", temporary + 5) == std::string::npos;
      if (hidden && aside != std::string::npos && !std::filesystem::exists(folder / name.substr(1, aside - 1)))
        std::filesystem::rename(path, folder / name.substr(1, aside - 1), error);
      else if (replaced || (hidden && (aside != std::string::npos || temporary != std::string::npos)))
        std::filesystem::remove_all(path, error);
    }
  }
}

/// The number in "step-00000100", or -1 for any other name.
int64_t step_in_name(const std::string& name) {
  if (!starts_with(name, "step-") || name.size() < 13 || name.size() > 23) return -1;
  const std::string digits = name.substr(5);
  if (digits.find_first_not_of("0123456789") != std::string::npos) return -1;
  return std::stoll(digits);
}

std::string checkpoint_name(int64_t step) {
  char name[40];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return name;
}

/// A file (or a link to nothing) under a checkpoint's name would be passed over in silence, and the save of that step would fail on it at
/// every start. It is kept under a name that nothing reads.
void move_aside(const std::filesystem::path& path) {
  std::filesystem::path aside = path;
  aside += ".not-a-checkpoint";
  for (int number = 2; std::filesystem::exists(std::filesystem::symlink_status(aside)); ++number)
    aside = path.string() + ".not-a-checkpoint-" + std::to_string(number);
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  log::warning("the checkpoint " + path.string() + " is not used: it is not a directory; " +
               (error ? "it cannot be moved aside: " + error.message() : "it was moved to " + aside.filename().string()));
}

void move_aside_what_is_no_directory(const std::filesystem::path& checkpoints) {
  std::error_code error;
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoints, error)) {
    const std::string name = entry.path().filename().string();
    const int64_t step = step_in_name(name);
    std::error_code unreadable;
    if (step >= 0 && name == checkpoint_name(step) && !entry.is_directory(unreadable)) found.push_back(entry.path());
  }
  for (const auto& path : found) move_aside(path);
}

/// "" and the state, or why this directory is not a checkpoint of this run.
std::string read_checkpoint(const std::filesystem::path& path, int64_t step, const std::string& identity, TrainerState& state) {
  const std::string wrong = verify_manifest(path);
  if (!wrong.empty()) return wrong;
  try {
    state = parse_state(read_file(path / "state.json", kSmallFile), (path / "state.json").string());
  } catch (const Error& error) {
    return error.message();
  }
  if (state.step != step) return "it was saved at step " + std::to_string(state.step) + ", not at the step in its name";
  if (state.identity.recipe != identity) return "it belongs to a run of another recipe";
  return "";
}

}  // namespace

RunDirectory::RunDirectory(std::filesystem::path path, FileDescriptor lock, std::string identity)
    : path_(std::move(path)), lock_(std::move(lock)), identity_(std::move(identity)) {}

std::shared_ptr<RunDirectory> RunDirectory::open(const std::filesystem::path& path, const std::string& identity) {
  std::error_code error;
  if (std::filesystem::exists(path) && !std::filesystem::is_directory(path))
    throw InUseError("the output directory is a file").at(std::filesystem::absolute(path).string()).hint("choose another output_dir");
  std::filesystem::create_directories(path, error);
  if (error) throw_io_error("cannot create the output directory", path, error.value());
  FileDescriptor lock = lock_directory(path);
  const auto saved = saved_identity(path);
  if (saved && *saved != identity)
    throw InUseError("the output directory holds a run of another recipe")
        .at(std::filesystem::absolute(path).string())
        .hint("choose another output_dir; `graft resume " + path.string() + "` continues the run that is there");
  if (!saved) {
    refuse_foreign_results(path);
    write_run(path, identity, /*saved_checkpoints=*/false);
  }
  remove_leftovers(path);
  move_aside_what_is_no_directory(path / "checkpoints");
  return std::shared_ptr<RunDirectory>(new RunDirectory(path, std::move(lock), identity));
}

std::shared_ptr<RunDirectory> RunDirectory::open_existing(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path))
    throw UsageError("there is no such run directory").at(std::filesystem::absolute(path).string()).hint("give a recipe's output_dir");
  if (!std::filesystem::exists(path / "run.json"))
    throw DataError("this is not a run directory: it has no run.json")
        .at(std::filesystem::absolute(path).string())
        .hint("give a recipe's output_dir");
  FileDescriptor lock = lock_directory(path);
  const auto saved = saved_identity(path);
  remove_leftovers(path);
  move_aside_what_is_no_directory(path / "checkpoints");
  return std::shared_ptr<RunDirectory>(new RunDirectory(path, std::move(lock), *saved));
}

std::filesystem::path RunDirectory::checkpoint(int64_t step) const { return checkpoints() / checkpoint_name(step); }

std::vector<int64_t> RunDirectory::checkpoint_steps() const {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoints(), error)) {
    const int64_t step = step_in_name(entry.path().filename().string());
    if (step >= 0 && entry.path() == checkpoint(step) && entry.is_directory(error)) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

bool RunDirectory::finished() const { return report_says_finished(report()); }

bool RunDirectory::holds_finished_run(const std::filesystem::path& path, const std::string& identity) {
  try {
    return saved_identity(path) == identity && report_says_finished(path / "report.json");
  } catch (const DataError&) {
    return false;  // whoever opens the directory says what is wrong with run.json
  }
}

bool RunDirectory::saved_checkpoints() const {
  const Json json = read_run(path_);
  return json.is_object() && json.value("saved_checkpoints", Json(false)) == Json(true);
}

void RunDirectory::remember_checkpoints() const {
  if (!saved_checkpoints()) write_run(path_, identity_, /*saved_checkpoints=*/true);
}

std::optional<Checkpoint> RunDirectory::newest_valid_checkpoint(const std::function<void(const Checkpoint&)>& check) const {
  const auto steps = checkpoint_steps();
  std::vector<std::string> reasons, mismatches;
  std::exception_ptr newest_mismatch;
  refused_.clear();
  for (const int64_t step : steps) {
    Checkpoint found{checkpoint(step), {}};
    const std::string wrong = read_checkpoint(found.path, step, identity_, found.state);
    try {
      if (wrong.empty() && check) check(found);
    } catch (const DataError& error) {  // said only when there is another: alone it is the run's error
      if (!newest_mismatch) newest_mismatch = std::current_exception();
      mismatches.push_back("the checkpoint " + found.path.string() + " is not used: " + error.message());
      refused_.insert(step);
      continue;
    }
    if (wrong.empty()) {
      for (const auto& mismatch : mismatches) log::warning(mismatch);
      if (!refused_.empty())
        log::warning("falling back to " + found.path.string() + ", the newest checkpoint that is whole and of this run");
      return found;
    }
    reasons.push_back(found.path.filename().string() + ": " + wrong);
    log::warning("the checkpoint " + found.path.string() + " is not used: " + wrong);
    refused_.insert(step);
  }
  if (steps.empty()) return std::nullopt;
  if (newest_mismatch) std::rethrow_exception(newest_mismatch);
  throw DataError("none of this run's checkpoints is whole (" + join(reasons, "; ") + ")")
      .at(checkpoints().string())
      .hint("restore one from a backup, or start anew in another output_dir");
}

void RunDirectory::prune(int64_t step, int64_t keep, int64_t best_step) const {
  int64_t kept = 0;
  refused_.erase(step);  // saved anew
  for (const int64_t candidate : checkpoint_steps()) {
    if (candidate > step) continue;
    const auto path = checkpoint(candidate);
    try {
      if (!std::filesystem::exists(path / kManifestName)) continue;
      const auto state = parse_state(read_file(path / "state.json", kSmallFile), path.string());
      if (state.identity.recipe != identity_) continue;
    } catch (const std::exception&) {
      continue;  // not one of ours, or damaged: left for a person to look at
    }
    const bool room = kept < std::max<int64_t>(keep, 1);
    if (room && refused_.count(candidate) == 0) ++kept;
    if (room || candidate == best_step) continue;
    // Renamed first: a directory that is half deleted is never taken for a checkpoint, and the next start removes it.
    std::error_code error;
    const auto doomed = checkpoints() / (".tmp-deleted-" + path.filename().string());
    std::filesystem::rename(path, doomed, error);
    if (!error) std::filesystem::remove_all(doomed, error);
    if (error) log::warning("cannot delete the old checkpoint " + path.string() + ": " + error.message());
  }
}

}  // namespace graft::train
