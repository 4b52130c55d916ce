#pragma once

#include <filesystem>

#include "graft/app/job.h"

namespace graft::cli {

/// Opens libgraft_app.so (and LibTorch, wherever it is: the build's, GRAFT_LIBTORCH, or an installed torch wheel of the same
/// version) and runs the job. Returns the process's exit code. UsageError when no LibTorch of the right version is found.
int run_job(const app::JobRequest& request);

/// The folder of the running executable.
std::filesystem::path executable_directory();

/// Folders that hold a libtorch_cpu.so, best first, that were looked at by run_job. For `doctor` and error texts.
std::vector<std::filesystem::path> libtorch_candidates();

}  // namespace graft::cli
