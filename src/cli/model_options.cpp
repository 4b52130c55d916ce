#include "cli/model_options.h"

namespace graft::cli {

void add_model_options(CLI::App* command, app::JobRequest& request) {
  command->add_option("--model", request.model, "model directory")->required();
  command->add_option("--adapter", request.adapter, "adapter directory (PEFT's layout)");
}

void check_model_options(const app::JobRequest& request) {
  require_path(request.model, "--model");
  if (!request.adapter.empty()) require_path(request.adapter, "--adapter");
}

}  // namespace graft::cli
