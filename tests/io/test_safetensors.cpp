#include "graft/io/safetensors.h"

#include "files_for_tests.h"
#include "graft/base/error.h"
#include "support/catch.h"

using namespace graft::io;

namespace {

void write_small(const std::filesystem::path& path, const std::string& fill = "x") {
  SafetensorsWriter writer(path, {{"m.weight", DType::kBF16, {2, 3}, 0, 0}, {"m.bias", DType::kF32, {2}, 0, 0}});
  for (const auto& tensor : writer.order()) {
    std::string bytes;
    while (bytes.size() < tensor.end - tensor.begin) bytes += fill;
    writer.append(bytes);
  }
  writer.finish();
}

}  // namespace

TEST_CASE("what is written is read back: names, shapes, dtypes, bytes, metadata", "[io]") {
  ScratchDirectory scratch;
  const auto path = scratch / "t.safetensors";
  SafetensorsWriter writer(
      path, {{"é\"\\\n", DType::kU8, {3}, 0, 0}, {"empty", DType::kF32, {0, 4}, 0, 0}, {"scalar", DType::kI64, {}, 0, 0}}, {{"k", "v"}});
  for (const auto& tensor : writer.order()) writer.append(std::string(tensor.end - tensor.begin, tensor.name[0]));
  writer.finish();
  for (const auto strictness : {Strictness::kForeign, Strictness::kOwn}) {
    const auto file = SafetensorsFile::open(path, strictness);
    REQUIRE(file.entries().size() == 3);
    REQUIRE(file.metadata() == std::map<std::string, std::string>{{"k", "v"}});
    REQUIRE(file.find("scalar")->shape.empty());
    REQUIRE(file.bytes(*file.find("scalar")) == "ssssssss");
    REQUIRE(file.bytes(*file.find("é\"\\\n")) == "\xc3\xc3\xc3");
    REQUIRE(file.find("empty")->shape == std::vector<int64_t>{0, 4});
    REQUIRE(file.bytes(*file.find("empty")).empty());
    REQUIRE(file.find("other") == nullptr);
  }
}

TEST_CASE("the header is laid out as the reference writes it", "[io]") {
  ScratchDirectory scratch;
  write_small(scratch / "t.safetensors");
  const std::string bytes = graft::read_file(scratch / "t.safetensors");
  // F32 before BF16 whatever the names; padded with spaces to a multiple of 8.
  const std::string json = R"({"__metadata__":{"format":"pt"},"m.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                           R"("m.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]}})";
  REQUIRE(static_cast<size_t>(static_cast<unsigned char>(bytes[0])) % 8 == 0);
  REQUIRE(bytes.substr(8, json.size()) == json);
  REQUIRE(bytes.size() == 8 + (json.size() + 7) / 8 * 8 + 20);
}

TEST_CASE("a writer that is not finished leaves nothing and harms nothing", "[io]") {
  ScratchDirectory scratch;
  const auto path = scratch / "t.safetensors";
  write_small(path);
  const std::string before = graft::read_file(path);
  {
    SafetensorsWriter writer(path, {{"a", DType::kF32, {4}, 0, 0}});
    writer.append("1234");
    REQUIRE_THROWS_AS(writer.finish(), graft::InternalError);
    REQUIRE_THROWS_AS(writer.append(std::string(13, 'x')), graft::InternalError);
  }
  REQUIRE(graft::read_file(path) == before);
  REQUIRE(std::distance(std::filesystem::directory_iterator(scratch.path()), {}) == 1);
}

TEST_CASE("two tensors of one name cannot be written", "[io]") {
  ScratchDirectory scratch;
  REQUIRE_THROWS_AS(SafetensorsWriter(scratch / "t", {{"a", DType::kF32, {1}, 0, 0}, {"a", DType::kI8, {1}, 0, 0}}), graft::InternalError);
}

TEST_CASE("writing over a file that is open leaves the reader's data whole", "[io]") {
  ScratchDirectory scratch;
  const auto path = scratch / "t.safetensors";
  write_small(path, "old.");
  const auto file = SafetensorsFile::open(path);
  write_small(path, "new.");
  REQUIRE(file.bytes(*file.find("m.bias")) == "old.old.");
  REQUIRE(SafetensorsFile::open(path).bytes(file.entries()[0]) == "new.new.");
}

TEST_CASE("a file that was cut short after opening is an error, not a signal", "[io]") {
  ScratchDirectory scratch;
  for (const auto access : {SafetensorsFile::Access::kMapped, SafetensorsFile::Access::kInMemory}) {
    const auto path = scratch / "t.safetensors";
    graft::write_file(path, small_safetensors());
    const auto file = SafetensorsFile::open(path, Strictness::kForeign, access);
    std::filesystem::resize_file(path, 130);
    REQUIRE_THROWS_AS(file.bytes(file.entries()[1]), graft::DataError);
  }
}

TEST_CASE("released pages are read again, and the neighbours stay", "[io]") {
  ScratchDirectory scratch;
  const auto path = scratch / "t.safetensors";
  SafetensorsWriter writer(path, {{"a", DType::kU8, {100'000}, 0, 0}, {"b", DType::kU8, {100'000}, 0, 0}});
  writer.append(std::string(100'000, 'a'));
  writer.append(std::string(100'000, 'b'));
  writer.finish();
  for (const auto strictness : {Strictness::kForeign, Strictness::kOwn}) {
    const auto file = SafetensorsFile::open(path, strictness);
    const auto a = file.bytes(file.entries()[0]), b = file.bytes(file.entries()[1]);
    const_cast<char*>(b.data())[0] = 'B';  // the mapping is private: never the file
    file.release(file.entries()[0]);
    REQUIRE(a == std::string(100'000, 'a'));
    REQUIRE(b[0] == 'B');
  }
  REQUIRE(SafetensorsFile::open(path).bytes({"b", DType::kU8, {1}, 100'000, 100'001}) == "b");
}

TEST_CASE("a full disk fails when the writer is made and says what to do", "[io]") {
  // No file system has 2^61 bytes free.
  ScratchDirectory scratch;
  REQUIRE_THROWS_AS(SafetensorsWriter(scratch / "t", {{"a", DType::kU8, {int64_t{1} << 61}, 0, 0}}), graft::IoError);
  REQUIRE(std::filesystem::is_empty(scratch.path()));
}
