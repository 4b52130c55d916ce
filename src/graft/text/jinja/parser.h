#pragma once

#include <string>
#include <string_view>

#include "graft/text/jinja/ast.h"

namespace graft::text::jinja {

/// Parses a chat template in the dialect that transformers sets up (jinja2 with loop controls and generation blocks).
/// DataError `origin:line:column` for syntax errors, for filters and tests that do not exist and for what is not supported.
Template parse_template(std::string_view source, const std::string& origin);

}  // namespace graft::text::jinja
