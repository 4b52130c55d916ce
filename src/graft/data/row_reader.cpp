#include "graft/data/row_reader.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/data/byte_stream.h"

namespace graft::data {
namespace {

constexpr size_t kMessageLimit = 240;  ///< the parser quotes the last token, which may be megabytes

bool has_json_name(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".json";
}

int first_character(const std::filesystem::path& path) {
  ByteStream stream(path);
  while (true) {
    const std::string_view bytes = stream.peek();
    if (bytes.empty()) return -1;
    const size_t found = bytes.find_first_not_of(" \t\r\n");
    if (found != std::string_view::npos) return static_cast<unsigned char>(bytes[found]);
    stream.take(bytes.size());
  }
}

class Nothing : public RowReader {
  bool next(Row&) override { return false; }
};

/// JSON Lines under a .json name: every row carries the hint, so that a pretty-printed object is explained.
class HintedLines : public RowReader {
 public:
  explicit HintedLines(const std::filesystem::path& path) : lines_(open_json_lines(path)) {}
  bool next(Row& row) override {
    if (!lines_->next(row)) return false;
    row.hint = "a .json file is one array of objects, [{…}, {…}], or one object a line";
    return true;
  }

 private:
  std::unique_ptr<RowReader> lines_;
};

size_t count_values(std::string_view text) {
  size_t values = 0;
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
    } else if (c == ',' || c == '[' || c == '{') {
      ++values;
    }
  }
  return values;
}

/// "…parse error at line 1, column 5: syntax error …" → "syntax error …", cut to a readable length.
std::string without_position(std::string message) {
  if (const auto column = message.find(", column "); column != std::string::npos)
    if (const auto colon = message.find(": ", column); colon != std::string::npos) message = "not valid JSON: " + message.substr(colon + 2);
  if (message.size() > kMessageLimit) {
    size_t end = kMessageLimit;
    while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;  // not inside a UTF-8 character
    message = message.substr(0, end) + "…";
  }
  return message;
}

/// parse_json's ":LINE:COL" inside the row → the place inside the file.
std::string place_in_file(const Row& row, const std::string& file, const std::string& where) {
  const auto parts = split(where, ':');
  if (parts.size() != 3) return row_place(file, row.line, row.element);
  const int64_t line = row.line + std::atoll(parts[1].c_str()) - 1;
  return file + ":" + std::to_string(line) + ":" + parts[2] + (row.element < 0 ? "" : ": element " + std::to_string(row.element));
}

}  // namespace

std::unique_ptr<RowReader> open_rows(const std::filesystem::path& path) {
  if (!has_json_name(path)) return open_json_lines(path);
  const int first = first_character(path);
  if (first < 0) return std::make_unique<Nothing>();
  if (first == '{') return std::make_unique<HintedLines>(path);
  return open_json_array(path);
}

std::string row_place(const std::string& file, int64_t line, int64_t element) {
  return file + ":" + std::to_string(line) + (element < 0 ? "" : ": element " + std::to_string(element));
}

Json parse_row(const Row& row, const std::string& file) {
  const std::string place = row_place(file, row.line, row.element);
  if (!row.problem.empty()) throw DataError(row.problem).at(place);
  if (!is_valid_utf8(row.text))
    throw DataError("the row is not valid UTF-8").at(place).hint("save the file as UTF-8, for example with iconv");
  if (count_values(row.text) > kValueLimit) throw DataError("the row has more than " + format_count(kValueLimit) + " values").at(place);
  try {
    return parse_json(row.text, "", kDepthLimit);
  } catch (const DataError& error) {
    throw DataError(without_position(error.message())).at(place_in_file(row, file, error.where())).hint(row.hint);
  } catch (const Json::exception& error) {  // a number that no double holds
    throw DataError(without_position(std::string("not valid JSON: ") + error.what())).at(place).hint(row.hint);
  }
}

}  // namespace graft::data
