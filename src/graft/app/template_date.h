#pragma once

#include <string>

namespace graft::app {

/// What a template's strftime_now sees: the day that was given (--template-date or data.template_date), else today in local time, as in
/// transformers. UsageError when what was given is not a day written YYYY-MM-DD (a recipe's is checked before).
std::string template_date(const std::string& given);

}  // namespace graft::app
