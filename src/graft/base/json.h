#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace graft {

/// Internal: JSON never appears in an installed header. Keys keep the file's order (rank_pattern depends on it).
using Json = nlohmann::ordered_json;

/// Strict parse: one value, UTF-8, no duplicate keys, no nesting deeper than `depth`. DataError names `origin` with line and column.
Json parse_json(std::string_view text, const std::string& origin, int depth = 128);

/// read_file + parse_json.
Json read_json(const std::string& path);

/// Serialised with `indent` spaces (-1: one line); invalid UTF-8 becomes U+FFFD instead of an exception.
std::string dump_json(const Json& value, int indent = -1);

}  // namespace graft
