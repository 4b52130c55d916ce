#include "graft/recipe/yaml_text.h"

#include <cstdio>

#include "graft/base/strings.h"
#include "graft/recipe/problems.h"

namespace graft::recipe {
namespace {

constexpr size_t kLargest = 1 << 20;  // bytes; the longest sensible recipe has a few thousand

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

/// file:line:col of the byte at `offset`.
std::string place_of_byte(std::string_view text, size_t offset, const std::string& origin) {
  int line = 1, column = 1;
  for (size_t i = 0; i < offset && i < text.size(); ++i) {
    if (text[i] == '\n') {
      ++line, column = 1;
    } else if (!continues_character(text[i])) {
      ++column;
    }
  }
  return origin + ":" + std::to_string(line) + ":" + std::to_string(column);
}

/// Bytes of the well-formed UTF-8 character at `offset`, 0 when there is none.
size_t character_length(std::string_view text, size_t offset) {
  const auto first = static_cast<unsigned char>(text[offset]);
  const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  return offset + length <= text.size() && is_valid_utf8(text.substr(offset, length)) ? length : 0;
}

std::string with_unix_line_ends(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      if (i + 1 < text.size() && text[i + 1] == '\n') continue;
      result += '\n';
    } else {
      result += text[i];
    }
  }
  return result;
}

void refuse_tab_indentation(std::string_view text, const std::string& origin) {
  for (size_t start = 0; start < text.size();) {
    size_t end = text.find('\n', start);
    if (end == std::string_view::npos) end = text.size();
    const size_t content = text.substr(start, end - start).find_first_not_of(" \t");
    if (content != std::string_view::npos && text[start + content] != '#') {
      const size_t tab = text.substr(start, content).find('\t');
      if (tab != std::string_view::npos) {
        throw_problem({place_of_byte(text, start + tab, origin), "a tab indents this line; YAML allows only spaces there", "",
                       "replace the tab by spaces"});
      }
    }
    start = end + 1;
  }
}

}  // namespace

std::string clean_yaml_text(std::string_view text, const std::string& origin) {
  if (text.size() > kLargest) {
    throw_problem({origin, "is " + format_bytes(static_cast<double>(text.size())) + " long; a recipe has at most " + format_bytes(kLargest),
                   "", "is this really a recipe?"});
  }
  if (starts_with(text, "\xFF\xFE") || starts_with(text, "\xFE\xFF")) {
    throw_problem({origin, "is UTF-16", "", "save it as UTF-8"});
  }
  if (starts_with(text, "\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::string result = with_unix_line_ends(text);
  for (size_t i = 0; i < result.size();) {
    const size_t length = character_length(result, i);
    if (length == 0)
      throw_problem({place_of_byte(result, i, origin), "this byte is not UTF-8", "", "save the file as UTF-8; is it a recipe at all?"});
    const auto byte = static_cast<unsigned char>(result[i]);
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) {
      char name[8];
      std::snprintf(name, sizeof name, "0x%02X", byte);
      throw_problem(
          {place_of_byte(result, i, origin), std::string("control character ") + name, "", "remove it; is the file a recipe at all?"});
    }
    i += length;
  }
  refuse_tab_indentation(result, origin);
  return result;
}

}  // namespace graft::recipe
