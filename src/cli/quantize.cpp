#include <memory>

#include "cli/command.h"
#include "cli/job_library.h"
#include "cli/model_options.h"

namespace graft::cli {

void add_quantize(CLI::App& root, Invocation& invocation) {
  auto request = std::make_shared<app::JobRequest>();
  auto* command = add_command(root, invocation, "quantize", "a model in 4 bits, in bitsandbytes' layout", [request, &invocation] {
    check_model_options(*request);
    request->command = "quantize";
    request->common = invocation.common;
    return run_job(*request);
  });
  command->add_option("--model", request->model, "model directory")->required();
  command->add_option("--output", request->output, "directory to write")->required()->check(non_empty());
  command->add_option("--type", request->quant_type, "nf4 or fp4")->required()->check(CLI::IsMember({"nf4", "fp4"}));
  command->add_flag("--double", request->double_quant, "quantize the block scales too");
  command->add_option("--block", request->block, "weights that share one scale: 32, 64, … 4096")->capture_default_str();
}

}  // namespace graft::cli
