#include <algorithm>
#include <cstring>

#include "graft/data/byte_stream.h"
#include "graft/data/row_reader.h"

namespace graft::data {
namespace {

class JsonLines : public RowReader {
 public:
  explicit JsonLines(const std::filesystem::path& path) : stream_(path) {}

  bool next(Row& row) override {
    while (true) {
      row = Row();
      row.line = ++line_;
      if (!read_line(row)) return false;
      if (!row.problem.empty()) return true;
      if (!row.text.empty() && row.text.back() == '\r') row.text.pop_back();
      if (row.text.find_first_not_of(" \t\r\v\f") == std::string::npos) continue;
      if (row.text.front() == '[') row.hint = "when the whole file is one array, its name must end in .json";
      return true;
    }
  }

 private:
  /// One line without its line break; false when there is none left.
  bool read_line(Row& row) {
    bool any = false;
    while (true) {
      const std::string_view bytes = stream_.peek();
      if (bytes.empty()) return any;
      any = true;
      const size_t end = std::min(bytes.find('\n'), bytes.size());
      if (row.text.size() + end > kRowLimit) {
        row.problem = "the line is longer than " + std::to_string(kRowLimit >> 20) + " MiB";
        row.text = std::string();
      }
      if (row.problem.empty()) row.text.append(bytes.substr(0, end));
      stream_.take(std::min(end + 1, bytes.size()));
      if (end < bytes.size()) return true;
    }
  }

  ByteStream stream_;
  int64_t line_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_json_lines(const std::filesystem::path& path) { return std::make_unique<JsonLines>(path); }

}  // namespace graft::data
