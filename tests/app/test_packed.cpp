#include <ATen/Functions.h>
#include <fcntl.h>
#include <sys/file.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "graft/adapters/four_bit_files.h"
#include "graft/app/packed_cache.h"
#include "graft/app/packed_checksum.h"
#include "graft/app/packed_key.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/io/tensor_file.h"
#include "graft/recipe/recipe.h"
#include "support/catch.h"
#include "support/devices.h"
#include "support/temporary_directory.h"

using namespace graft;
using namespace graft::app;

namespace {

const std::atomic<bool> kRun{false};

recipe::Recipe recipe_for(const std::string& model) {
  recipe::Recipe recipe;
  recipe.model.path = model;
  recipe.quant.type = "nf4";
  return recipe;
}

/// A directory that is enough of a model to be named.
std::string write_model(const TemporaryDirectory& directory, const std::string& name) {
  directory.write(name + "/config.json", "{}");
  io::save_tensors(directory / name / "model.safetensors", {{"a.weight", at::arange(64, at::kFloat).view({8, 8})}});
  return (directory / name).string();
}

PackedList weights_on(at::Device device) {
  at::manual_seed(1);
  PackedList list;
  for (const char* path : {"layers.0.up", "layers.0.down", "layers.1.up"})
    list.emplace_back(path, quant::encode(at::randn({48, 64}, at::kFloat).to(device), {quant::FourBitType::kNf4, true, 64}, path));
  return list;
}

bool same(const quant::FourBitTensor& a, const quant::FourBitTensor& b) {
  return a.shape == b.shape && a.offset == b.offset && a.dtype == b.dtype && at::equal(a.codes.cpu(), b.codes.cpu()) &&
         at::equal(a.absmax.cpu(), b.absmax.cpu()) && at::equal(a.nested_absmax.cpu(), b.nested_absmax.cpu()) &&
         at::equal(a.code_map.cpu(), b.code_map.cpu()) && at::equal(a.nested_map.cpu(), b.nested_map.cpu());
}

/// What lies in the cache besides the lock.
std::vector<std::string> left_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.path().extension() != ".lock") names.push_back(entry.path().filename().string());
  return names;
}

}  // namespace

TEST_CASE("a packed copy's key follows everything that the packed bytes follow", "[app]") {
  TemporaryDirectory directory;
  const auto model = write_model(directory, "model");
  const auto key = [&](const recipe::Recipe& recipe, const std::string& fingerprint = "base") {
    return packed_key(recipe, io::ModelDirectory(model), fingerprint);
  };
  const auto base = recipe_for(model);
  const std::string first = key(base);
  REQUIRE(first.size() == 64);
  REQUIRE(key(base) == first);
  REQUIRE(key(base, "another") != first);
  auto changed = base;
  changed.quant.type = "fp4";
  REQUIRE(key(changed) != first);
  changed = base, changed.quant.double_quant = false;
  REQUIRE(key(changed) != first);
  changed = base, changed.quant.block = 128;
  REQUIRE(key(changed) != first);
  changed = base, changed.quant.skip = {"lm_head"};
  REQUIRE(key(changed) != first);
  changed = base, changed.model.dtype = "fp32";
  REQUIRE(key(changed) != first);
  changed = base, changed.seed = 7, changed.adapter.rank = 3, changed.quant.cache = "elsewhere";
  REQUIRE(key(changed) == first);

  const auto file = fs::path(model) / "model.safetensors";
  const auto time = fs::last_write_time(file);
  fs::last_write_time(file, time + std::chrono::nanoseconds(1000));
  REQUIRE(key(base) != first);
  fs::last_write_time(file, time);
  REQUIRE(key(base) == first);
  io::save_tensors(file, {{"b.weight", at::arange(64, at::kFloat).view({8, 8})}});  // as long, another header
  fs::last_write_time(file, time);
  REQUIRE(key(base) != first);
}

TEST_CASE("weights come back from a packed copy bit for bit", "[app]") {
  test::for_each_device([](at::Device device) {
    TemporaryDirectory directory;
    const auto weights = weights_on(device);
    const PackedTarget target{directory / "cache/key", "key", "somewhere"};
    REQUIRE(write_packed(target, weights, kRun));
    REQUIRE(left_in(directory / "cache") == std::vector<std::string>{"key"});
    const auto copy = open_packed(target.directory, "key");
    for (const auto& [path, tensor] : weights) {
      const auto read = graft::detail::read_four_bit(copy.directory, path, std::vector<int64_t>{48, 64}, device);
      REQUIRE(read.codes.device() == device);
      REQUIRE(same(read, tensor));
    }
    REQUIRE_FALSE(write_packed(target, weights, kRun));  // there already
  });
}

TEST_CASE("a packed copy that is not what its manifest says is refused", "[app]") {
  TemporaryDirectory directory;
  const PackedTarget target{directory / "cache/key", "key", "somewhere"};
  REQUIRE(write_packed(target, weights_on(at::kCPU), kRun));
  REQUIRE_THROWS_AS(open_packed(target.directory, "another"), DataError);
  const auto file = target.directory / "model.safetensors";
  const std::string bytes = read_file(file);
  write_file(file, bytes.substr(0, bytes.size() - 1));
  REQUIRE_THROWS_AS(open_packed(target.directory, "key"), DataError);
  io::save_tensors(file, {{"a", at::zeros({3})}});  // sound by itself
  REQUIRE_THROWS_WITH(open_packed(target.directory, "key"), Contains("not those that were written"));
  write_file(target.directory / "config.json", "{\"format\":");
  REQUIRE_THROWS_AS(open_packed(target.directory, "key"), DataError);
  fs::remove(target.directory / "config.json");
  REQUIRE_THROWS_AS(open_packed(target.directory, "key"), Error);
  const PackedTarget again{target.directory, "key", "somewhere", /*replace=*/true};
  REQUIRE(write_packed(again, weights_on(at::kCPU), kRun));
  REQUIRE_NOTHROW(open_packed(target.directory, "key"));
}

TEST_CASE("the checksum of a tensor is the same in memory and in its file, and follows every bit", "[app]") {
  TemporaryDirectory directory;
  at::manual_seed(3);
  for (const int64_t size : {1, 7, 8, 4096, (1 << 18) - 1, 1 << 18, (1 << 21) + 5}) {
    const at::Tensor values = at::randint(0, 256, {size}, at::kByte);
    const auto path = directory / "values.safetensors";
    io::save_tensors(path, {{"values", values}});
    const auto file = io::SafetensorsFile::open(path);
    std::string bytes(static_cast<const char*>(values.const_data_ptr()), static_cast<size_t>(size));
    const std::string sum = packed_checksum(bytes);
    CHECK(sum.size() == 16);
    CHECK(packed_checksum(file, *file.find("values")) == sum);
    for (const size_t place : {size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
      bytes[place] = static_cast<char>(bytes[place] ^ 1);
      CHECK(packed_checksum(bytes) != sum);
      bytes[place] = static_cast<char>(bytes[place] ^ 1);
    }
  }
}

TEST_CASE("a flipped bit in any tensor of a packed copy is found when its weight is read", "[app]") {
  TemporaryDirectory directory;
  const auto recipe = recipe_for(write_model(directory, "model"));
  auto weights = weights_on(at::kCPU);
  for (auto& [path, tensor] : weights) tensor.dtype = at::kBFloat16;
  const PackedTarget target{directory / "cache/key", "key", "somewhere"};
  REQUIRE(write_packed(target, weights, kRun));
  const std::string& path = weights[1].first;
  auto names = graft::detail::four_bit_companions(path);
  names.push_back(path + ".weight");
  const auto file = target.directory / "model.safetensors";
  const std::string whole = read_file(file);
  int damaged = 0;
  for (const auto& name : names) {
    const auto copy = open_packed(target.directory, "key");
    const auto tensor = copy.directory.find(name);
    if (!tensor) continue;  // the other form's state
    ++damaged;
    std::string bytes = whole;
    const auto place = whole.size() - tensor->file->entries().back().end + (tensor->entry->begin + tensor->entry->end) / 2;
    bytes[place] = static_cast<char>(bytes[place] ^ 0x10);
    write_file(file, bytes);
    PackedCache cache(recipe, directory / "cache", "key");
    CHECK(cache.find(weights[0].first, {48, 64}, at::kCPU).has_value());
    CHECK_FALSE(cache.find(path, {48, 64}, at::kCPU).has_value());
    CHECK_FALSE(cache.find(weights[2].first, {48, 64}, at::kCPU).has_value());  // the copy is given up
    write_file(file, whole);
  }
  CHECK(damaged == 6);
  PackedCache cache(recipe, directory / "cache", "key");
  CHECK(cache.find(path, {48, 64}, at::kCPU).has_value());
}

TEST_CASE("a packed copy whose manifest lost its checksums is refused", "[app]") {
  TemporaryDirectory directory;
  const PackedTarget target{directory / "cache/key", "key", "somewhere"};
  REQUIRE(write_packed(target, weights_on(at::kCPU), kRun));
  const auto path = target.directory / "config.json";
  Json manifest = read_json(path.string());
  REQUIRE(manifest["checksums"].size() == 18);
  for (const Json& sums : {Json(), Json(3), Json::object(), Json::array({1})}) {
    manifest["checksums"] = sums;
    write_file(path, dump_json(manifest));
    REQUIRE_THROWS_WITH(open_packed(target.directory, "key"), Contains("not those that were written"));
  }
}

TEST_CASE("a write that is stopped or not alone leaves nothing", "[app]") {
  TemporaryDirectory directory;
  const PackedTarget target{directory / "cache/key", "key", "somewhere"};
  const std::atomic<bool> stop{true};
  REQUIRE_FALSE(write_packed(target, weights_on(at::kCPU), stop));
  REQUIRE(left_in(directory / "cache").empty());

  const FileDescriptor lock(::open((directory / "cache/key.lock").c_str(), O_RDWR | O_CREAT, 0644));
  REQUIRE(::flock(lock.get(), LOCK_EX) == 0);
  REQUIRE_FALSE(write_packed(target, weights_on(at::kCPU), kRun));
  REQUIRE(left_in(directory / "cache").empty());
  REQUIRE(::flock(lock.get(), LOCK_UN) == 0);
  REQUIRE(write_packed(target, weights_on(at::kCPU), kRun));
}

TEST_CASE("one damaged weight is found when it is read, and the copy is replaced with all weights", "[app]") {
  TemporaryDirectory directory;
  const auto recipe = recipe_for(write_model(directory, "model"));
  auto weights = weights_on(at::kCPU);
  for (auto& [path, tensor] : weights) tensor.dtype = at::kBFloat16;
  auto damaged = weights;
  damaged[2].second.nested_absmax = at::full_like(weights[2].second.nested_absmax, std::numeric_limits<float>::quiet_NaN());
  REQUIRE(write_packed({directory / "cache/key", "key", "somewhere"}, damaged, kRun));

  const auto load = [&](bool expect_whole) {
    PackedCache cache(recipe, directory / "cache", "key");
    for (size_t i = 0; i < weights.size(); ++i) {
      const auto& [path, tensor] = weights[i];
      const auto found = cache.find(path, {48, 64}, at::kCPU);
      REQUIRE(found.has_value() == (expect_whole || i < 2));
      if (found)
        REQUIRE(same(*found, tensor));
      else
        cache.add(path, tensor);
    }
    cache.save();
    cache.wait();
  };
  load(false);
  load(true);
}
