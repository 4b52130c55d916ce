#pragma once

#include "cli/command.h"

namespace graft::cli {

/// --model and --adapter, shared by every command that runs a model.
void add_model_options(CLI::App* command, app::JobRequest& request);

/// --template-date, for every command that renders a chat template.
void add_template_date(CLI::App* command, std::string& date);

/// UsageError when one of them does not exist.
void check_model_options(const app::JobRequest& request);

}  // namespace graft::cli
