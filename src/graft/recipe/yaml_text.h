#pragma once

#include <string>
#include <string_view>

namespace graft::recipe {

/// What a YAML reader may safely be given: at most 1 MiB of well-formed UTF-8 without control characters and without tabs as
/// indentation, a byte order mark taken off, line ends as \n. RecipeError with the place otherwise; `origin` names the file.
std::string clean_yaml_text(std::string_view text, const std::string& origin);

}  // namespace graft::recipe
