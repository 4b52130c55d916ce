#include <memory>

#include "cli/command.h"
#include "cli/job_library.h"
#include "graft/base/signals.h"

namespace graft::cli {

void add_resume(CLI::App& root, Invocation& invocation) {
  auto request = std::make_shared<app::JobRequest>();
  auto* command = add_command(root, invocation, "resume", "continue a run from its newest valid checkpoint", [request, &invocation] {
    hold_signals();
    require_path(request->run_directory, "RUN_DIR");
    request->command = "resume";
    request->common = invocation.common;
    return run_job(*request);
  });
  command->add_option("RUN_DIR", request->run_directory, "run directory (a recipe's output_dir)")->required();
}

}  // namespace graft::cli
