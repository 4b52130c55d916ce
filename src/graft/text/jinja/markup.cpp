#include "graft/text/jinja/markup.h"

namespace graft::text::jinja {

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string escaped_text(const Value& string) {
  const auto& object = string.as<String>();
  return object.markup ? object.text : escape_html(object.text);
}

}  // namespace graft::text::jinja
