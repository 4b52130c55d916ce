// Every kind of malformed file: refused with the rule's name, and the file and tensor named. Written against the format's description,
// not against the parser.
#include <sys/stat.h>

#include "files_for_tests.h"
#include "graft/base/error.h"
#include "graft/io/safetensors.h"
#include "support/catch.h"

using graft::io::SafetensorsFile;
using graft::io::Strictness;

namespace {

struct Malformed {
  std::string name;
  std::string bytes;
  std::string rule;         ///< must appear in the error
  std::string tensor = "";  ///< must be named, when one is at fault
};

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

std::string one(const std::string& value, size_t data = 4) { return safetensors_bytes("{\"t\":" + value + "}", data); }

std::string length_field(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(length >> (8 * i) & 0xFF));
  return bytes;
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

// Refused whoever wrote the file.
std::vector<Malformed> always_refused() {
  const std::string good = entry("\"F32\"", "[1]", "[0,4]");
  const std::string first = "{\"a\":" + entry("\"F32\"", "[2]", "[0,8]") + ",\"t\":";
  std::vector<Malformed> rows = {
      {"empty file", "", "header size"},
      {"seven bytes", "\x02\0\0\0\0\0\0", "header size"},
      {"length 0", length_field(0), "header JSON"},
      {"length over 100 MB", length_field(100'000'001) + "{}", "header size"},
      {"length 2^63", length_field(uint64_t{1} << 63) + "{}", "header size"},
      {"length 2^64-1", length_field(~uint64_t{0}) + "{}", "header size"},
      {"length beyond the file", length_field(1000) + "{}", "truncation"},
      {"length cuts the JSON", length_field(10) + safetensors_bytes("{\"t\":" + good + "}", 4).substr(8), "header JSON"},
      {"not UTF-8", one("\xff"), "UTF-8"},
      {"overlong UTF-8", safetensors_bytes("{\"\xc0\xaf\":" + good + "}", 4), "UTF-8"},
      {"surrogate as UTF-8", safetensors_bytes("{\"\xed\xa0\x80\":" + good + "}", 4), "UTF-8"},
      {"byte order mark", safetensors_bytes("\xef\xbb\xbf{\"t\":" + good + "}", 4), "header JSON"},
      {"NUL bytes as padding", safetensors_bytes("{\"t\":" + good + "}" + std::string(3, '\0'), 4), "header JSON"},
      {"lone surrogate escape", safetensors_bytes(R"({"\ud800":)" + good + "}", 4), "surrogate"},
      {"control character in a name", safetensors_bytes("{\"a\nb\":" + good + "}", 4), "control character"},
      {"array at the top", safetensors_bytes("[]"), "header JSON"},
      {"null at the top", safetensors_bytes("null"), "header JSON"},
      {"two values", safetensors_bytes("{}{}"), "trailing bytes"},
      {"garbage after the object", safetensors_bytes("{} x"), "trailing bytes"},
      {"missing brace", safetensors_bytes("{\"t\":" + good, 4), "header JSON"},
      {"comma at the end", safetensors_bytes("{\"t\":" + good + ",}", 4), "header JSON"},
      {"single quotes", safetensors_bytes("{'t':" + good + "}", 4), "header JSON"},
      {"comment", safetensors_bytes("{/**/\"t\":" + good + "}", 4), "header JSON"},
      {"entry is a list", one(R"(["F32",[1],[0,4]])"), "expected an object", "t"},
      {"entry is a number", one("1"), "expected an object", "t"},
      {"no dtype", one(R"({"shape":[1],"data_offsets":[0,4]})"), "no dtype", "t"},
      {"no shape", one(R"({"dtype":"F32","data_offsets":[0,4]})"), "no shape", "t"},
      {"no data_offsets", one(R"({"dtype":"F32","shape":[1]})"), "no data_offsets", "t"},
      {"unknown dtype", one(entry("\"F99\"", "[1]", "[0,4]")), "\"F99\"", "t"},
      {"dtype in lower case", one(entry("\"f32\"", "[1]", "[0,4]")), "\"f32\"", "t"},
      {"dtype is a number", one(entry("32", "[1]", "[0,4]")), "dtype", "t"},
      {"packed F4", one(entry("\"F4\"", "[3]", "[0,4]")), "\"F4\"", "t"},
      {"packed F6", one(entry("\"F6_E2M3\"", "[3]", "[0,4]")), "\"F6_E2M3\"", "t"},
      {"end before begin", safetensors_bytes(first + entry("\"F32\"", "[0]", "[8,4]") + "}", 8), "before begin", "t"},
      {"first tensor not at 0", one(entry("\"F32\"", "[1]", "[4,8]"), 8), "hole", "t"},
      {"hole", safetensors_bytes(first + entry("\"F32\"", "[1]", "[12,16]") + "}", 16), "hole", "t"},
      {"overlap", safetensors_bytes(first + entry("\"F32\"", "[1]", "[4,8]") + "}", 8), "overlap", "t"},
      {"two tensors on one range", safetensors_bytes("{\"a\":" + good + ",\"t\":" + good + "}", 4), "overlap", "t"},
      {"tensor beyond the file", one(entry("\"F32\"", "[2]", "[0,8]"), 4), "truncation", "t"},
      {"one byte short", one(good, 3), "truncation", "t"},
      {"bytes behind the last tensor", one(good, 5), "trailing data"},
      {"shape product overflows", one(entry("\"F32\"", "[2,9223372036854775807]", "[0,4]")), "overflow", "t"},
      {"shape times dtype overflows", one(entry("\"F32\"", "[4611686018427387904]", "[0,4]")), "overflow", "t"},
      {"dimension beyond 2^63", one(entry("\"U8\"", "[18446744073709551615]", "[0,4]")), "overflow", "t"},
      {"product wraps to the right size", one(entry("\"U8\"", "[4294967296,4294967296,4]", "[0,4]")), "overflow", "t"},
      {"too few bytes", one(entry("\"F32\"", "[2]", "[0,4]")), "size mismatch", "t"},
      {"too many bytes", one(entry("\"U8\"", "[1]", "[0,4]")), "size mismatch", "t"},
      {"empty tensor with bytes", one(entry("\"F32\"", "[0]", "[0,4]")), "size mismatch", "t"},
      {"metadata is a list", safetensors_bytes(R"({"__metadata__":[]})"), "__metadata__"},
      {"metadata value is a number", safetensors_bytes(R"({"__metadata__":{"a":1}})"), "metadata"},
      {"metadata twice", safetensors_bytes(R"({"__metadata__":{},"__metadata__":{}})"), "duplicate"},
      {"field twice", one(R"({"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]})"), "duplicate", "t"},
      {"tensor twice", safetensors_bytes("{\"t\":" + good + ",\"t\":" + good + "}", 4), "duplicate", "t"},
      {"empty name", safetensors_bytes("{\"\":" + good + "}", 4), "empty name"},
      {"NUL in a name", safetensors_bytes(R"({"a\u0000b":)" + good + "}", 4), "NUL"},
      {"65 dimensions", one(entry("\"F32\"", "[1" + repeated(",1", 64) + "]", "[0,4]")), "rank", "t"},
  };
  for (const char* number : {"-1", "1.0", "1e0", "\"1\"", "-0", "01", "18446744073709551616", "null", "true", "[1]", "1.", "+1", "0x1"}) {
    rows.push_back({std::string("shape holds ") + number, one(entry("\"F32\"", std::string("[") + number + "]", "[0,4]")), "header JSON"});
    rows.push_back(
        {std::string("data_offsets hold ") + number, one(entry("\"F32\"", "[1]", std::string("[") + number + ",4]")), "header JSON"});
  }
  for (const char* list : {"[]", "[0]", "[0,4,4]"})
    rows.push_back({std::string("data_offsets are ") + list, one(entry("\"F32\"", "[1]", list)), "data_offsets", "t"});
  for (const char* list : {"null", "4", "{}", "\"[0,4]\""}) {
    rows.push_back({std::string("data_offsets are ") + list, one(entry("\"F32\"", "[1]", list)), "data_offsets", "t"});
    rows.push_back({std::string("shape is ") + list, one(entry("\"F32\"", list, "[0,4]")), "shape", "t"});
  }
  return rows;
}

// Accepted from others, refused in files graft wrote itself.
std::vector<Malformed> refused_in_own_files() {
  const std::string good = entry("\"F32\"", "[1]", "[0,4]");
  return {
      {"unknown field", one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]})"), "\"strides\"", "t"},
      {"null as metadata", safetensors_bytes(R"({"__metadata__":null})"), "__metadata__"},
      {"metadata key twice", safetensors_bytes(R"({"__metadata__":{"a":"1","a":"2"}})"), "duplicate"},
      {"17 dimensions", one(entry("\"F32\"", "[1" + repeated(",1", 16) + "]", "[0,4]")), "rank", "t"},
      {"name of 513 bytes", safetensors_bytes("{\"" + std::string(513, 'n') + "\":" + good + "}", 4), "tensor name"},
      {"header of 17 MiB", safetensors_bytes("{\"t\":" + good + "}" + std::string(17 << 20, ' '), 4), "header size"},
  };
}

std::string error_of(const std::filesystem::path& file, Strictness strictness) {
  try {
    SafetensorsFile::open(file, strictness);
  } catch (const graft::DataError& error) {
    return error.what();
  }
  return "(accepted)";
}

}  // namespace

TEST_CASE("a malformed safetensors file is refused by the rule it breaks, with file and tensor named", "[io]") {
  ScratchDirectory scratch;
  const auto file = scratch / "bad.safetensors";
  for (const auto& row : always_refused()) {
    INFO(row.name);
    graft::write_file(file, row.bytes);
    for (const auto strictness : {Strictness::kForeign, Strictness::kOwn}) {
      const std::string error = error_of(file, strictness);
      CHECK_THAT(error, Contains(row.rule));
      CHECK_THAT(error, Contains("bad.safetensors" + (row.tensor.empty() ? "" : ": " + row.tensor)));
    }
  }
}

TEST_CASE("suspicious but valid safetensors files are refused only where graft wrote them", "[io]") {
  ScratchDirectory scratch;
  const auto file = scratch / "odd.safetensors";
  for (const auto& row : refused_in_own_files()) {
    INFO(row.name);
    graft::write_file(file, row.bytes);
    CHECK(error_of(file, Strictness::kForeign) == "(accepted)");
    CHECK_THAT(error_of(file, Strictness::kOwn), Contains(row.rule));
  }
}

TEST_CASE("deep nesting in a field that is ignored is refused where the reference refuses it", "[io]") {
  ScratchDirectory scratch;
  const auto nested = [](int lists) {
    return one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":)" + repeated("[", lists) + repeated("]", lists) + "}");
  };
  graft::write_file(scratch / "f", nested(125));  // with the header's object and the entry: 127 levels
  CHECK(error_of(scratch / "f", Strictness::kForeign) == "(accepted)");
  for (const int lists : {126, 100'000}) {
    graft::write_file(scratch / "f", nested(lists));
    CHECK_THAT(error_of(scratch / "f", Strictness::kForeign), Contains("nesting"));
  }
}

TEST_CASE("unusual but correct safetensors files are read", "[io]") {
  ScratchDirectory scratch;
  const auto file = scratch / "good.safetensors";
  const std::string good = entry("\"F32\"", "[1]", "[0,4]");
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"no tensors", safetensors_bytes("{}")},
      {"white space around", safetensors_bytes(" \t\r\n{\"t\":" + good + "} \t\r\n", 4)},
      {"length not a multiple of 8", one(good)},
      {"zero-size tensor", one(entry("\"F32\"", "[0,5]", "[0,0]"), 0)},
      {"zero-size tensors in between",
       safetensors_bytes(
           "{\"z\":" + entry("\"F32\"", "[0]", "[4,4]") + ",\"y\":" + entry("\"I8\"", "[0]", "[0,0]") + ",\"t\":" + good + "}", 4)},
      {"rank 0", one(entry("\"F32\"", "[]", "[0,4]"))},
      {"fields in another order", one(R"({"data_offsets":[0,4],"shape":[1],"dtype":"F32"})")},
      {"entries in another order", safetensors_bytes("{\"b\":" + entry("\"F32\"", "[1]", "[4,8]") + ",\"a\":" + good + "}", 8)},
      {"unaligned start",
       safetensors_bytes("{\"a\":" + entry("\"U8\"", "[1]", "[0,1]") + ",\"b\":" + entry("\"F32\"", "[1]", "[1,5]") + "}", 5)},
      {"escapes in names", safetensors_bytes(R"({"\u00e9\ud83d\ude00\"\\\/\n":)" + good + "}", 4)},
      {"slashes and dots in names", safetensors_bytes("{\"../../etc/passwd\":" + good + "}", 4)},
      {"float8", safetensors_bytes("{\"a\":" + entry("\"F8_E4M3\"", "[2]", "[0,2]") + ",\"b\":" + entry("\"F8_E5M2\"", "[2]", "[2,4]") +
                                       ",\"c\":" + entry("\"F8_E8M0\"", "[1]", "[4,5]") + "}",
                                   5)},
  };
  for (const auto& [name, bytes] : rows) {
    INFO(name);
    graft::write_file(file, bytes);
    for (const auto strictness : {Strictness::kForeign, Strictness::kOwn}) CHECK(error_of(file, strictness) == "(accepted)");
  }
}

TEST_CASE("a file of another kind is refused at once: directory, FIFO, missing", "[io]") {
  ScratchDirectory scratch;
  REQUIRE_THROWS_AS(SafetensorsFile::open(scratch.path()), graft::DataError);
  REQUIRE_THROWS_AS(SafetensorsFile::open(scratch / "missing.safetensors"), graft::IoError);
  const auto fifo = scratch / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  REQUIRE_THROWS_WITH(SafetensorsFile::open(fifo), Contains("not a regular file"));
}
