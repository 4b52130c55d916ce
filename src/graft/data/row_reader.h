#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "graft/base/json.h"

namespace graft::data {

/// Longest row that is read, in bytes: a longer one is a bad sample, not an allocation.
inline constexpr size_t kRowLimit = size_t{64} << 20;
/// Most values (array elements, object members) in a row: bounds what parsing may allocate.
inline constexpr size_t kValueLimit = size_t{1} << 22;
/// Deepest nesting of a row.
inline constexpr int kDepthLimit = 64;

/// The text of one JSON value of a file, and where it was.
struct Row {
  std::string text;
  int64_t line = 0;      ///< 1-based, of its first byte
  int64_t element = -1;  ///< 0-based, in a .json array; -1 in JSON Lines
  std::string problem;   ///< not empty: why there is no text (too long); a bad sample
  const char* hint = "";
};

/// The rows of one file, one after the other, never more than one in memory.
class RowReader {
 public:
  virtual ~RowReader() = default;
  /// False at the end. DataError (file:line) when the file's own structure is broken, so that no further row can be found.
  virtual bool next(Row& row) = 0;
};

/// JSON Lines: one value a line; LF or CRLF; blank lines do not count; the last line needs no line break.
std::unique_ptr<RowReader> open_json_lines(const std::filesystem::path& path);
/// One top-level array, cut into its elements by a scanner that knows strings and nesting only.
std::unique_ptr<RowReader> open_json_array(const std::filesystem::path& path);
/// By the file's name: .json is an array, or JSON Lines when its first character is `{`; everything else is JSON Lines.
std::unique_ptr<RowReader> open_rows(const std::filesystem::path& path);

/// "file:line", for an element of an array "file:line: element 3".
std::string row_place(const std::string& file, int64_t line, int64_t element);

/// Strict parse of a row: UTF-8, no duplicate keys, no NUL, the limits above. DataError at row_place (with the column for JSON Lines).
Json parse_row(const Row& row, const std::string& file);

}  // namespace graft::data
