#pragma once

#include <string>
#include <string_view>

namespace graft::io {

/// Python's re over short names, through PCRE2: Unicode classes, \n as the only line end. Patterns come from untrusted files, so
/// backtracking is limited; a pattern that does not compile or runs away is a DataError naming `field`. Compiled patterns are kept.

/// re.fullmatch(pattern, text) is not None.
bool regex_full_match(const std::string& pattern, std::string_view text, const char* field);

/// re.match(pattern, text): matches at the beginning. `group`, when given, receives the capture group of that name.
struct RegexGroup {
  const char* name;
  std::string value;
};
bool regex_match(const std::string& pattern, std::string_view text, const char* field, RegexGroup* group = nullptr);

}  // namespace graft::io
