#include <memory>

#include "cli/command.h"
#include "cli/job_library.h"
#include "cli/model_options.h"

namespace graft::cli {

void add_merge(CLI::App& root, Invocation& invocation) {
  auto request = std::make_shared<app::JobRequest>();
  auto* command =
      add_command(root, invocation, "merge", "fold an adapter into its base: a standalone model directory", [request, &invocation] {
        check_model_options(*request);
        request->command = "merge";
        request->common = invocation.common;
        return run_job(*request);
      });
  command->add_option("--model", request->model, "model directory")->required();
  command->add_option("--adapter", request->adapter, "adapter directory")->required();
  command->add_option("--output", request->output, "directory to write")->required()->check(non_empty());
}

}  // namespace graft::cli
