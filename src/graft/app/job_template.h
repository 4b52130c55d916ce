#pragma once

#include <string>

#include "graft/text/chat_template.h"

namespace graft::app {

/// The chat template that --model and --adapter name together: the adapter's chat_template.jinja, which it was trained with, else the
/// model's. `adapter` may be "". DataError when neither has one.
text::ChatTemplate load_job_template(const std::string& model, const std::string& adapter);

/// Whether there is one.
bool has_job_template(const std::string& model, const std::string& adapter);

}  // namespace graft::app
