#pragma once

#include <functional>
#include <string>

#include "graft/base/json.h"

namespace graft::app {

/// Calls `use(value, "file:line")` for each line that is not blank. IoError when the file cannot be read, DataError with
/// file:line for a line that is not JSON.
void for_each_json_line(const std::string& path, const std::function<void(const Json&, const std::string& place)>& use);

}  // namespace graft::app
