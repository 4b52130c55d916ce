#include "graft/base/json.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "graft/base/error.h"
#include "graft/base/files.h"

namespace graft {
namespace {

std::string place(std::string_view text, size_t byte, const std::string& origin) {
  byte = std::min(byte, text.size());
  const auto line = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(byte), '\n') + 1;
  const size_t line_start = text.substr(0, byte).rfind('\n');
  const size_t column = line_start == std::string_view::npos ? byte + 1 : byte - line_start;
  return origin + ":" + std::to_string(line) + ":" + std::to_string(column);
}

// Passed through the DOM parser's callback: refuses duplicate keys and deep nesting while the tree is built.
struct StrictChecks {
  std::vector<std::unordered_set<std::string>> open_objects;
  int limit;
  std::string duplicate;
  bool too_deep = false;

  bool operator()(int depth, nlohmann::detail::parse_event_t event, Json& parsed) {
    using Event = nlohmann::detail::parse_event_t;
    if (depth > limit) too_deep = true;
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end) open_objects.pop_back();
    if (event == Event::key && !open_objects.back().insert(parsed.get<std::string>()).second && duplicate.empty())
      duplicate = parsed.get<std::string>();
    return !too_deep;
  }
};

// nlohmann's parser recurses nowhere, but a tree deeper than this would overflow the stack when destroyed.
bool nested_too_deep(std::string_view text, int limit) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limit) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& origin, int depth) {
  if (nested_too_deep(text, depth)) throw DataError("JSON is nested deeper than " + std::to_string(depth) + " levels").at(origin);
  StrictChecks checks{{}, depth, "", false};
  Json value;
  try {
    value = Json::parse(text.begin(), text.end(), std::ref(checks));
  } catch (const Json::parse_error& error) {
    std::string what = error.what();
    if (const auto colon = what.find("parse error"); colon != std::string::npos) what = what.substr(colon);
    throw DataError("not valid JSON: " + what).at(place(text, error.byte == 0 ? 0 : error.byte - 1, origin));
  } catch (const Json::exception& error) {  // a number that no double can hold
    throw DataError(std::string("not valid JSON: ") + error.what()).at(origin);
  }
  if (!checks.duplicate.empty()) throw DataError("JSON has the key \"" + checks.duplicate + "\" twice in one object").at(origin);
  return value;
}

Json read_json(const std::string& path) { return parse_json(read_file(path), path); }

std::string dump_json(const Json& value, int indent) { return value.dump(indent, ' ', false, Json::error_handler_t::replace); }

}  // namespace graft
