#include "cli/model_options.h"

namespace graft::cli {

void add_model_options(CLI::App* command, app::JobRequest& request) {
  command->add_option("--model", request.model, "model directory")->required();
  command->add_option("--adapter", request.adapter, "adapter directory (PEFT's layout)");
}

void add_template_date(CLI::App* command, std::string& date) {
  command->add_option("--template-date", date, "the day a chat template's strftime_now sees, YYYY-MM-DD; default: today");
}

void check_model_options(const app::JobRequest& request) {
  require_path(request.model, "--model");
  if (!request.adapter.empty()) require_path(request.adapter, "--adapter");
}

}  // namespace graft::cli
