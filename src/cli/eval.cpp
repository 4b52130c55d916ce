#include <memory>

#include "cli/command.h"
#include "cli/job_library.h"
#include "cli/model_options.h"

namespace graft::cli {

void add_eval(CLI::App& root, Invocation& invocation) {
  auto request = std::make_shared<app::JobRequest>();
  auto* command = add_command(root, invocation, "eval", "loss, perplexity and accuracy on a data file", [request, &invocation] {
    check_model_options(*request);
    require_path(request->data, "--data");
    request->command = "eval";
    request->common = invocation.common;
    return run_job(*request);
  });
  add_model_options(command, *request);
  add_template_date(command, request->template_date);
  command->add_option("--data", request->data, "data file (.jsonl or .json)")->required();
  command
      ->add_option("--format", request->format,
                   "messages, sharegpt, alpaca, prompt_completion, text or tokens; recognised from the first line when absent")
      ->check(CLI::IsMember({"messages", "sharegpt", "alpaca", "prompt_completion", "text", "tokens"}));
  command->add_option("--max-length", request->max_length, "longer samples are cut on the right; default: what the model allows")
      ->check(CLI::Range(2, 1 << 24));
}

}  // namespace graft::cli
