#include "graft/app/job_template.h"

#include <filesystem>

namespace graft::app {
namespace {

namespace fs = std::filesystem;

/// Empty when the adapter brings none.
fs::path template_of(const std::string& adapter) {
  const fs::path path = fs::path(adapter) / "chat_template.jinja";
  return !adapter.empty() && fs::exists(path) ? path : fs::path();
}

}  // namespace

text::ChatTemplate load_job_template(const std::string& model, const std::string& adapter) {
  const fs::path own = template_of(adapter);
  return own.empty() ? text::ChatTemplate::load(model) : text::ChatTemplate::load_for(model, own);
}

bool has_job_template(const std::string& model, const std::string& adapter) {
  return !template_of(adapter).empty() || text::has_chat_template(model);
}

}  // namespace graft::app
