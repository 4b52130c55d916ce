#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// The candidate closest to `name` by edit distance (transpositions count once), or "" when none is near enough to be a
/// plausible slip (more than a third of the longer name, at least 2 edits allowed). Ties: the first candidate wins.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

/// "a, b and c"; "none" when empty.
std::string enumerate(const std::vector<std::string>& names);

/// The parts joined with the separator.
std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// Splits at every separator; "a..b" gives an empty part in the middle; "" gives one empty part.
std::vector<std::string> split(std::string_view text, char separator);

bool starts_with(std::string_view text, std::string_view prefix);
bool ends_with(std::string_view text, std::string_view suffix);

/// Shell-like pattern over a whole name: `*` any run of characters (dots included), `?` one character, `[abc]` a set.
bool glob_match(std::string_view pattern, std::string_view name);

/// Human sizes: 1536 → "1.5 KiB"; always three significant digits at most, binary units.
std::string format_bytes(double bytes);

/// "1,234,567".
std::string format_count(long long value);

/// True when the bytes are well-formed UTF-8 (no overlong forms, no surrogates).
bool is_valid_utf8(std::string_view text);

}  // namespace graft
