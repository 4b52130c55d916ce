#pragma once

#include <string>
#include <string_view>

#include "graft/text/jinja/value.h"

namespace graft::text::jinja {

/// HTML escapes as markupsafe writes them.
std::string escape_html(std::string_view text);

/// A string's text, escaped unless it is Markup already.
std::string escaped_text(const Value& string);

}  // namespace graft::text::jinja
