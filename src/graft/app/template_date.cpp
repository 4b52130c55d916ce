#include "graft/app/template_date.h"

#include <ctime>

#include "graft/base/error.h"
#include "graft/text/jinja/globals.h"

namespace graft::app {

std::string template_date(const std::string& given) {
  if (!given.empty() && !text::jinja::is_date(given))
    throw UsageError("--template-date: \"" + given + "\" is not a day").hint("write it as 2026-01-31");
  if (!given.empty()) return given;
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &local);
  return text;
}

}  // namespace graft::app
