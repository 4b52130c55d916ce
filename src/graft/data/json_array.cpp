#include "graft/base/error.h"
#include "graft/data/byte_stream.h"
#include "graft/data/row_reader.h"

namespace graft::data {
namespace {

constexpr const char* kHint = "a .json file is one array of objects, [{…}, {…}], or one object a line";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// Cuts `[ a, b, c ]` at its top-level commas. What an element is made of is checked by parse_row, not here.
class JsonArray : public RowReader {
 public:
  explicit JsonArray(const std::filesystem::path& path) : stream_(path) {
    if (skip_space() != '[') fail("expected an array");
    advance();
  }

  bool next(Row& row) override {
    if (done_) return false;
    const int first = skip_space();
    if (first == ']' && element_ == 0) return finish();
    row = Row();
    row.line = line_;
    row.element = element_++;
    cut_element(row);
    if (row.text.find_first_not_of(" \t\r\n") == std::string::npos && row.problem.empty())
      fail(first == ']' ? "a comma before the closing ]" : "an empty element");
    if (current() == ']')
      finish();
    else
      advance();
    return true;
  }

 private:
  /// The byte under the cursor, -1 at the end of the file.
  int current() {
    const std::string_view bytes = stream_.peek();
    return bytes.empty() ? -1 : static_cast<unsigned char>(bytes.front());
  }

  void advance() {
    if (current() == '\n') ++line_;
    stream_.take(1);
  }

  int skip_space() {
    while (true) {
      const int c = current();
      if (c < 0 || !is_space(static_cast<char>(c))) return c;
      advance();
    }
  }

  bool finish() {
    advance();
    if (skip_space() >= 0) fail("something follows the closing ]");
    done_ = true;
    return false;
  }

  /// Moves the element's text into the row and stops at the comma or bracket that ends it.
  void cut_element(Row& row) {
    int64_t depth = 0;
    bool in_string = false, escaped = false;
    while (true) {
      const std::string_view bytes = stream_.peek();
      if (bytes.empty())
        fail("the array is not closed: the file ends inside element " + std::to_string(row.element) + ", which begins in line " +
             std::to_string(row.line));
      size_t used = 0;
      bool ended = false;
      for (; used < bytes.size(); ++used) {
        const char c = bytes[used];
        if (c == '\n') ++line_;
        if (in_string) {
          if (escaped)
            escaped = false;
          else if (c == '\\')
            escaped = true;
          else if (c == '"')
            in_string = false;
        } else if (c == '"') {
          in_string = true;
        } else if (c == '{' || c == '[') {
          ++depth;
        } else if ((c == ',' || c == ']') && depth == 0) {
          ended = true;
          break;
        } else if (c == '}' || c == ']') {
          if (--depth < 0) fail("a closing } that nothing opened");
        }
      }
      keep(row, bytes.substr(0, used));
      stream_.take(used);
      if (ended) return;
    }
  }

  static void keep(Row& row, std::string_view bytes) {
    if (row.text.size() + bytes.size() > kRowLimit) {
      row.problem = "the element is longer than " + std::to_string(kRowLimit >> 20) + " MiB";
      row.text = std::string();
    }
    if (row.problem.empty()) row.text.append(bytes);
  }

  [[noreturn]] void fail(const std::string& what) {
    throw DataError("not a JSON array: " + what).at(row_place(stream_.path().string(), line_, -1)).hint(kHint);
  }

  ByteStream stream_;
  int64_t line_ = 1, element_ = 0;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<RowReader> open_json_array(const std::filesystem::path& path) { return std::make_unique<JsonArray>(path); }

}  // namespace graft::data
