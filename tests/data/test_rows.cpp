#include "data/support.h"
#include "graft/data/row_reader.h"

using namespace data_test;
using graft::data::open_rows;
using graft::data::parse_row;
using graft::data::Row;

namespace {

struct Seen {
  int64_t line, element;
  graft::Json value;
};

std::vector<Seen> read_all(const std::string& path) {
  const auto reader = open_rows(path);
  std::vector<Seen> seen;
  for (Row row; reader->next(row);) seen.push_back({row.line, row.element, parse_row(row, path)});
  return seen;
}

/// Where and why reading a file with these bytes fails.
Failure failure_for(const TemporaryDirectory& directory, const std::string& name, const std::string& bytes) {
  const auto path = directory.write(name, bytes);
  auto failure = failure_of([&] { read_all(path); });
  if (failure.where.rfind(path, 0) == 0) failure.where = failure.where.substr(path.size());
  return failure;
}

}  // namespace

TEST_CASE("JSON Lines: blank lines, CRLF, a byte order mark and a missing last line break change nothing but line numbers", "[data]") {
  const TemporaryDirectory directory;
  const auto seen = read_all(directory.write("a.jsonl", "\xEF\xBB\xBF{\"a\":1}\r\n\r\n   \n{\"a\":2}\n\n{\"a\":3}"));
  REQUIRE(seen.size() == 3);
  REQUIRE(seen[0].line == 1);
  REQUIRE(seen[1].line == 4);
  REQUIRE(seen[2].line == 6);
  REQUIRE(seen[2].value["a"] == 3);
}

TEST_CASE("a .json array gives its elements with number and line, whatever stands inside strings", "[data]") {
  const TemporaryDirectory directory;
  const auto seen =
      read_all(directory.write("a.json", "\n[\n {\"a\": \"],[{\\\"\\\\\"},\n\n {\"a\": [[1, 2], {\"b\": []}]} , {\"a\":\n 3}\n]\n"));
  REQUIRE(seen.size() == 3);
  REQUIRE(seen[0].line == 3);
  REQUIRE(seen[0].value["a"] == "],[{\"\\");
  REQUIRE(seen[1].line == 5);
  REQUIRE(seen[1].value["a"][1]["b"].empty());
  REQUIRE(seen[2].element == 2);
  REQUIRE(read_all(directory.write("empty.json", " [ ] ")).empty());
  REQUIRE(read_all(directory.write("nothing.json", "")).empty());
}

TEST_CASE("a .json file that begins with an object is read as JSON Lines", "[data]") {
  const TemporaryDirectory directory;
  REQUIRE(read_all(directory.write("a.json", "{\"a\":1}\n{\"a\":2}\n")).size() == 2);
  REQUIRE_THAT(failure_for(directory, "b.json", "{\n \"data\": []\n}").block, Contains("a .json file is one array of objects"));
}

TEST_CASE("an array of a million elements across buffer borders is cut where it should be", "[data]") {
  const TemporaryDirectory directory;
  std::string text = "[";
  for (int i = 0; i < 200000; ++i)
    text += (i ? "," : "") + ("{\"a\":\"" + std::string(static_cast<size_t>(i % 23), 'x') + "\",\"i\":" + std::to_string(i) + "}");
  const auto path = directory.write("big.json", text + "]");  // 4 MB: several refills at every phase of an element
  const auto reader = open_rows(path);
  int64_t expected = 0;
  for (Row row; reader->next(row); ++expected) {
    const auto value = parse_row(row, path);
    REQUIRE(value["i"] == expected);
    REQUIRE(value["a"].get_ref<const std::string&>().size() == static_cast<size_t>(expected % 23));
  }
  REQUIRE(expected == 200000);
}

TEST_CASE("what is wrong with a row is said with file, line and column", "[data]") {
  const TemporaryDirectory directory;
  struct Case {
    const char *name, *bytes, *where, *words;
  };
  const Case cases[] = {
      {"a.jsonl", "{\"a\":1}\n{\"a\":}\n", ":2:6", "not valid JSON"},
      {"b.jsonl", "{\"a\":1}\n{\"a\":1", ":2:7", "unexpected end of input"},
      {"c.jsonl", "{\"a\":1,\"a\":2}\n", ":1", "twice"},
      {"d.jsonl", "{\"a\":\"\xFF\"}\n", ":1", "not valid UTF-8"},
      {"e.jsonl", "{\"a\":NaN}\n", ":1:6", "not valid JSON"},
      {"f.jsonl", "{\"a\":1e999}\n", ":1", "not valid JSON"},
      {"g.jsonl", "[1]\n[\n", ":2:2", "its name must end in .json"},
      {"h.jsonl", "{\"a\":1} {\"a\":2}\n", ":1:9", "not valid JSON"},
      {"i.jsonl", "{\"a\":\"\\ud800\"}\n", ":1:13", "surrogate"},
      {"j.jsonl", "\xFF\xFE{\0", "", "UTF-16"},
      {"k.json", "[{\"a\":1},\n{\"a\":}]", ":2:6: element 1", "not valid JSON"},
      {"l.json", "[{\"a\":1},\n{\"a\":1}", ":2", "the array is not closed"},
      {"m.json", "[{\"a\":1},\n]", ":2", "a comma before the closing ]"},
      {"n.json", "[{\"a\":1}]\n]", ":2", "something follows"},
      {"o.json", "[,]", ":1", "an empty element"},
      {"p.json", "\"text\"", ":1", "expected an array"},
      {"q.json", "[1}]", ":1", "nothing opened"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto failure = failure_for(directory, c.name, c.bytes);
    REQUIRE(failure.code == 65);
    REQUIRE(failure.where == c.where);
    REQUIRE_THAT(failure.block, Contains(c.words));
    REQUIRE(failure.block.size() < 1200);
  }
  std::string nul = "{\"a\":\"x\"}\n{\"a\":\"x\"}\n";
  nul[nul.size() - 4] = '\0';
  REQUIRE(failure_for(directory, "r.jsonl", nul).where == ":2:7");
}

TEST_CASE("rows that are too deep, too long or made of too many values are refused, not parsed", "[data]") {
  const TemporaryDirectory directory;
  REQUIRE_THAT(failure_for(directory, "deep.jsonl", "{}\n" + std::string(100000, '[') + "\n").block, Contains("nested deeper"));
  REQUIRE_THAT(failure_for(directory, "many.jsonl", "[" + std::string(size_t{5} << 20, ',') + "\n").block, Contains("values"));
  const auto long_row = failure_for(directory, "long.jsonl", "{}\n{\"a\":\"" + std::string(graft::data::kRowLimit, 'x') + "\"}\n{}\n");
  REQUIRE(long_row.where == ":2");
  REQUIRE_THAT(long_row.block, Contains("longer than 64 MiB"));
  const auto long_element = failure_for(directory, "long.json", "[{},\n{\"a\":\"" + std::string(graft::data::kRowLimit, 'x') + "\"}]");
  REQUIRE(long_element.where == ":2: element 1");
}
