#include "graft/train/manifest.h"

#include "graft/base/files.h"
#include "graft/base/random.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

using graft::train::verify_manifest;
using graft::train::write_manifest;

namespace {

void fill(const std::filesystem::path& directory) {
  graft::write_file(directory / "adapter_model.safetensors", std::string(700, 'a') + "weights");
  graft::write_file(directory / "state.json", "{\"step\": 7}\n");
  write_manifest(directory);
}

void flip_bit(const std::filesystem::path& path, uint64_t bit) {
  auto bytes = graft::read_file(path);
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  graft::write_file(path, bytes);
}

}  // namespace

TEST_CASE("a manifest holds for what it was written for", "[train]") {
  TemporaryDirectory directory;
  fill(directory.path());
  CHECK(verify_manifest(directory.path()).empty());
}

TEST_CASE("every way of damaging a checkpoint file is found and named", "[train]") {
  for (const std::string name : {"adapter_model.safetensors", "state.json", "manifest.json"}) {
    for (const std::string damage : {"missing", "empty", "half", "one byte more", "a directory"}) {
      TemporaryDirectory directory;
      fill(directory.path());
      const auto path = directory.path() / name;
      const auto bytes = graft::read_file(path);
      if (damage == "missing") std::filesystem::remove(path);
      if (damage == "empty") graft::write_file(path, "");
      if (damage == "half") graft::write_file(path, bytes.substr(0, bytes.size() / 2));
      if (damage == "one byte more") graft::write_file(path, bytes + "x");
      if (damage == "a directory") std::filesystem::remove(path), std::filesystem::create_directory(path);
      INFO(name << " " << damage);
      CHECK_THAT(verify_manifest(directory.path()), Contains(name));
    }
  }
}

TEST_CASE("files swapped with each other are found", "[train]") {
  TemporaryDirectory directory;
  fill(directory.path());
  std::filesystem::rename(directory.path() / "state.json", directory.path() / "x");
  std::filesystem::rename(directory.path() / "adapter_model.safetensors", directory.path() / "state.json");
  std::filesystem::rename(directory.path() / "x", directory.path() / "adapter_model.safetensors");
  CHECK_FALSE(verify_manifest(directory.path()).empty());
}

TEST_CASE("one flipped bit anywhere is found", "[train]") {
  TemporaryDirectory directory;
  fill(directory.path());
  graft::RandomStream random(1, "flip");
  for (const std::string name : {"adapter_model.safetensors", "state.json", "manifest.json"}) {
    const auto path = directory.path() / name;
    const uint64_t bits = std::filesystem::file_size(path) * 8;
    for (int i = 0; i < 60; ++i) {
      const uint64_t bit = random.below(bits);
      flip_bit(path, bit);
      INFO(name << " bit " << bit);
      CHECK_FALSE(verify_manifest(directory.path()).empty());
      flip_bit(path, bit);
    }
  }
  CHECK(verify_manifest(directory.path()).empty());
}

TEST_CASE("a manifest that names a file outside its directory is refused", "[train]") {
  TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path() / "checkpoint");
  graft::write_file(directory.path() / "checkpoint" / "manifest.json",
                    "{\"format\":1,\"files\":{\"../x\":{\"size\":1,\"sha256\":\"0\"}},\"sha256\":\"0\"}");
  CHECK_FALSE(verify_manifest(directory.path() / "checkpoint").empty());
}
