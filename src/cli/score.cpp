#include <memory>

#include "cli/command.h"
#include "cli/job_library.h"
#include "cli/model_options.h"

namespace graft::cli {

void add_score(CLI::App& root, Invocation& invocation) {
  auto request = std::make_shared<app::JobRequest>();
  auto* command = add_command(root, invocation, "score", "log-probabilities of given texts, as safetensors", [request, &invocation] {
    check_model_options(*request);
    require_path(request->input, "--input");
    request->command = "score";
    request->common = invocation.common;
    return run_job(*request);
  });
  add_model_options(command, *request);
  add_template_date(command, request->template_date);
  command->add_option("--input", request->input, "JSONL file: {\"tokens\":[…]}, {\"text\":…} or {\"messages\":[…]} per line")->required();
  command->add_option("--output", request->output, "safetensors file to write")->required()->check(non_empty());
  command->add_flag("--logits", request->logits, "also write logits.i [T, vocabulary]");
}

}  // namespace graft::cli
