#include <memory>

#include "cli/command.h"
#include "cli/job_library.h"

namespace graft::cli {

void add_doctor(CLI::App& root, Invocation& invocation) {
  add_command(root, invocation, "doctor", "the machine and its traps: LibTorch, devices, memory, disk", [&invocation] {
    app::JobRequest request;
    request.command = "doctor";
    request.common = invocation.common;
    return run_job(request);
  });
}

}  // namespace graft::cli
