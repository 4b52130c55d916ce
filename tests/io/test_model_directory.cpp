#include "graft/io/model_directory.h"

#include "files_for_tests.h"
#include "graft/base/error.h"
#include "graft/io/model_index.h"
#include "support/catch.h"

using graft::io::ModelDirectory;
namespace fs = std::filesystem;

namespace {

std::string f32(const std::string& name, int elements) {
  const std::string bytes = std::to_string(elements * 4);
  return safetensors_bytes(
      "{\"" + name + R"(":{"dtype":"F32","shape":[)" + std::to_string(elements) + R"(],"data_offsets":[0,)" + bytes + "]}}",
      static_cast<size_t>(elements) * 4);
}

/// config.json, two shards with tensors a and b, and an index.
void make_sharded(const ScratchDirectory& scratch, const std::string& weight_map) {
  graft::write_file(scratch / "config.json", "{}");
  graft::write_file(scratch / "model-00001-of-00002.safetensors", f32("a", 1));
  graft::write_file(scratch / "model-00002-of-00002.safetensors", f32("b", 2));
  graft::write_file(scratch / "model.safetensors.index.json", R"({"metadata":{"total_size":12},"weight_map":)" + weight_map + "}");
}

constexpr const char* kGoodMap = R"({"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"})";

}  // namespace

TEST_CASE("a single file is found", "[io]") {
  ScratchDirectory scratch;
  graft::write_file(scratch / "config.json", R"({"x":1})");
  graft::write_file(scratch / "model.safetensors", small_safetensors());
  const ModelDirectory model(scratch.path());
  REQUIRE(model.tensor_names() == std::vector<std::string>{"a", "b"});
  REQUIRE(model.config_text() == R"({"x":1})");
  REQUIRE(model.weight_bytes() == 20);
  REQUIRE(model.at("b").entry->shape == std::vector<int64_t>{3});
  REQUIRE_FALSE(model.find("c"));
  REQUIRE_THROWS_AS(model.at("aa"), graft::DataError);
}

TEST_CASE("a sharded model is found through its index, each tensor in its shard", "[io]") {
  ScratchDirectory scratch;
  make_sharded(scratch, kGoodMap);
  const ModelDirectory model(scratch.path());
  REQUIRE(model.tensor_names() == std::vector<std::string>{"a", "b"});
  REQUIRE(model.at("b").file->path().filename() == "model-00002-of-00002.safetensors");
}

TEST_CASE("a directory of symbolic links is a model directory", "[io]") {
  ScratchDirectory scratch;
  fs::create_directories(scratch / "blobs");
  fs::create_directories(scratch / "snapshots/abc");
  graft::write_file(scratch / "blobs/1", "{}");
  graft::write_file(scratch / "blobs/2", small_safetensors());
  fs::create_symlink("../../blobs/1", scratch / "snapshots/abc/config.json");
  fs::create_symlink("../../blobs/2", scratch / "snapshots/abc/model.safetensors");
  REQUIRE(ModelDirectory(scratch / "snapshots/abc").tensor_names().size() == 2);
  fs::remove(scratch / "blobs/2");
  REQUIRE_THROWS_WITH(ModelDirectory(scratch / "snapshots/abc"), Contains("link to a file that is not there"));
}

TEST_CASE("with a single file and an index the single file wins", "[io]") {
  ScratchDirectory scratch;
  make_sharded(scratch, R"({"z":"missing.safetensors"})");
  graft::write_file(scratch / "model.safetensors", small_safetensors());
  REQUIRE(ModelDirectory(scratch.path()).files().size() == 1);
}

TEST_CASE("an index that leads out of the directory or lies is refused", "[io]") {
  ScratchDirectory scratch;
  graft::write_file(scratch / "model.safetensors.index.json", "");
  for (const char* name : {"../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..\\\\x.safetensors", "C:x.safetensors", "",
                           "..", ".hidden.safetensors", "a\\u0000.safetensors"}) {
    INFO(name);
    make_sharded(scratch, std::string(R"({"a":")") + name + "\"}");
    REQUIRE_THROWS_WITH(ModelDirectory(scratch.path()), Contains("not a plain file name"));
  }
  make_sharded(scratch, R"({"a":"model.bin"})");
  REQUIRE_THROWS_WITH(ModelDirectory(scratch.path()), Contains("pickle"));
  make_sharded(scratch, R"({"a":"model-00003-of-00002.safetensors"})");
  REQUIRE_THROWS_AS(ModelDirectory(scratch.path()), graft::DataError);
  make_sharded(scratch, R"({"a":"model-00001-of-00002.safetensors","b":"model-00001-of-00002.safetensors"})");
  REQUIRE_THROWS_AS(ModelDirectory(scratch.path()), graft::DataError);
  make_sharded(scratch,
               R"({"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors","c":"model-00002-of-00002.safetensors"})");
  REQUIRE_THROWS_WITH(ModelDirectory(scratch.path()), Contains("not in it"));
  make_sharded(scratch, kGoodMap);
  graft::write_file(scratch / "model-00001-of-00002.safetensors", small_safetensors());  // a and b: b is in two shards, not alike
  REQUIRE_THROWS_WITH(ModelDirectory(scratch.path()), Contains("two shards"));
  graft::write_file(scratch / "model-00001-of-00002.safetensors", f32("c", 1));
  REQUIRE_THROWS_WITH(ModelDirectory(scratch.path()), Contains("does not name"));
  for (const char* text :
       {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{}})", R"({"weight_map":{"a":1}})", "{\"weight_map\":"}) {
    graft::write_file(scratch / "model.safetensors.index.json", text);
    REQUIRE_THROWS_AS(ModelDirectory(scratch.path()), graft::DataError);
  }
}

TEST_CASE("a shard that the index never names is refused", "[io]") {
  ScratchDirectory scratch;
  make_sharded(scratch, R"({"a":"model-00001-of-00002.safetensors"})");
  REQUIRE_THROWS_WITH(ModelDirectory(scratch.path()), Contains("model-00002-of-00002.safetensors"));
}

TEST_CASE("what is missing is named together with what to do", "[io]") {
  ScratchDirectory scratch;
  REQUIRE_THROWS_AS(ModelDirectory(scratch / "nowhere"), graft::UsageError);
  REQUIRE_THROWS_WITH(ModelDirectory(scratch.path()), Contains("no config.json"));
  graft::write_file(scratch / "config.json", "{}");
  REQUIRE_THROWS_WITH(ModelDirectory(scratch.path()), Contains("no weights") && Contains("model.safetensors.index.json"));
  REQUIRE_NOTHROW(ModelDirectory(scratch.path(), ModelDirectory::Open::kConfigOnly));
  graft::write_file(scratch / "pytorch_model.bin", "x");
  REQUIRE_THROWS_WITH(ModelDirectory(scratch.path()), Contains("pickle") && Contains("save_pretrained"));
  REQUIRE_THROWS_AS(ModelDirectory(scratch / "config.json"), graft::DataError);
}
