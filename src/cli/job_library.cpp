#include "cli/job_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibTorchVersion = "2.11.";

void add_if_libtorch(const fs::path& lib, std::vector<fs::path>* found) {
  std::error_code ignored;
  if (fs::exists(lib / "libtorch_cpu.so", ignored)) found->push_back(lib);
}

// <prefix>/lib/python3.N/{site,dist}-packages/torch/lib for every N there is.
void add_wheels_under(const fs::path& prefix, std::vector<fs::path>* found) {
  std::error_code ignored;
  for (const char* lib : {"lib", "lib64"}) {
    for (const auto& entry : fs::directory_iterator(prefix / lib, ignored)) {
      if (!starts_with(entry.path().filename().string(), "python3")) continue;
      for (const char* packages : {"site-packages", "dist-packages"}) add_if_libtorch(entry.path() / packages / "torch/lib", found);
    }
  }
}

// torch/version.py says '2.11.0+cu130'; a LibTorch zip has build-version. Empty when neither is there.
std::string version_of(const fs::path& lib) {
  for (const fs::path& file : {lib.parent_path() / "version.py", lib.parent_path() / "build-version"}) {
    std::ifstream stream(file);
    std::string line;
    while (std::getline(stream, line)) {
      const size_t digit = line.find_first_of("0123456789");
      if (digit != std::string::npos && (file.filename() == "build-version" || starts_with(line, "__version__")))
        return line.substr(digit, line.find_first_of("'\"", digit) - digit);
    }
  }
  return "";
}

bool preload(const fs::path& lib) {
  return ::dlopen((lib / "libc10.so").c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr &&
         ::dlopen((lib / "libtorch_cpu.so").c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr;
}

void* open_jobs() {
  const fs::path exe = executable_directory();
  for (const fs::path& path : {exe / "../lib/libgraft_app.so", exe / "libgraft_app.so"}) {
    std::error_code ignored;
    if (fs::exists(path, ignored)) return ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
  throw InternalError("libgraft_app.so is not beside this executable")
      .at(exe.string())
      .hint("build or unpack graft again; bin/ and lib/ belong together");
}

/// A thread that waits for the others of its team (GCC's OpenMP) sleeps after some 50 microseconds instead of milliseconds. On a machine
/// that other processes use too, a spinning thread would keep the one it waits for from its core: measured 16 s a step against 7.
void wait_without_spinning() {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) ::setenv("GOMP_SPINCOUNT", "20000", /*overwrite=*/0);
}

void* open_jobs_with_libtorch() {
  wait_without_spinning();
  // An explicit GRAFT_LIBTORCH wins over the library's own search path.
  if (const char* chosen = std::getenv("GRAFT_LIBTORCH")) {
    const std::string version = version_of(fs::path(chosen) / "lib");
    if (!version.empty() && !starts_with(version, kLibTorchVersion))
      throw UsageError("GRAFT_LIBTORCH is LibTorch " + version + "; graft was built for " + kLibTorchVersion + "x").at(chosen);
    preload(fs::path(chosen) / "lib");
  }
  if (void* jobs = open_jobs()) return jobs;
  std::string reasons = std::string("\n    own search path: ") + ::dlerror();
  for (const auto& lib : libtorch_candidates()) {
    const std::string version = version_of(lib);
    if (!version.empty() && !starts_with(version, kLibTorchVersion)) {
      reasons += "\n    " + lib.string() + ": version " + version;
      continue;
    }
    if (preload(lib)) {
      if (void* jobs = open_jobs()) return jobs;
    }
    reasons += "\n    " + lib.string() + ": " + ::dlerror();
  }
  throw UsageError("LibTorch " + std::string(kLibTorchVersion) + "x could not be loaded; looked at:" + reasons)
      .hint("set GRAFT_LIBTORCH to an unpacked LibTorch or to the torch folder of an installed wheel of that version");
}

}  // namespace

fs::path executable_directory() {
  std::error_code ignored;
  const fs::path exe = fs::read_symlink("/proc/self/exe", ignored);
  return exe.parent_path();
}

std::vector<fs::path> libtorch_candidates() {
  std::vector<fs::path> found;
  if (const char* chosen = std::getenv("GRAFT_LIBTORCH")) add_if_libtorch(fs::path(chosen) / "lib", &found);
  for (const char* place : {"../lib", "../libtorch/lib", "../libtorch/torch/lib"}) add_if_libtorch(executable_directory() / place, &found);
  if (const char* environment = std::getenv("VIRTUAL_ENV")) add_wheels_under(environment, &found);
  if (const char* path = std::getenv("PATH"))
    for (const auto& folder : split(path, ':'))
      if (!folder.empty() && ::access((folder + "/python3").c_str(), X_OK) == 0) add_wheels_under(fs::path(folder).parent_path(), &found);
  for (const char* prefix : {"/usr/local", "/usr"}) add_wheels_under(prefix, &found);
  return found;
}

int run_job(const app::JobRequest& request) {
  void* jobs = open_jobs_with_libtorch();
  using RunJob = int (*)(const app::JobRequest*);
  const auto run = reinterpret_cast<RunJob>(::dlsym(jobs, "graft_run_job"));
  if (run == nullptr) throw InternalError("libgraft_app.so has no graft_run_job").hint("build or unpack graft again");
  return run(&request);
}

}  // namespace graft::cli
