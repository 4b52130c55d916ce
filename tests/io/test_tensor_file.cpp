#include "graft/io/tensor_file.h"

#include <ATen/Functions.h>

#include <cstring>

#include "files_for_tests.h"
#include "graft/base/error.h"
#include "graft/io/tensor_read.h"
#include "support/catch.h"
#include "support/devices.h"

using namespace graft::io;

TEST_CASE("tensors of every dtype come back bit for bit", "[io]") {
  ScratchDirectory scratch;
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (int i = 0; i < 16; ++i) {
    const auto type = to_scalar_type(static_cast<DType>(i));
    REQUIRE(to_dtype(type) == static_cast<DType>(i));
    at::Tensor tensor = at::empty({3, 2}, type);
    for (size_t byte = 0; byte < tensor.nbytes(); ++byte)
      static_cast<char*>(tensor.data_ptr())[byte] = static_cast<char>(type == at::kBool ? byte % 2 : byte * 37);
    tensors.emplace_back(to_string(static_cast<DType>(i)), tensor);
  }
  save_tensors(scratch / "t", tensors);
  const auto loaded = load_tensors(scratch / "t");
  const auto file = SafetensorsFile::open(scratch / "t");
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    for (const at::Tensor& other : {loaded.at(name), view(file, *file.find(name))}) {
      REQUIRE(other.scalar_type() == tensor.scalar_type());
      REQUIRE(other.sizes() == tensor.sizes());
      REQUIRE(std::memcmp(other.const_data_ptr(), tensor.const_data_ptr(), tensor.nbytes()) == 0);
    }
  }
}

TEST_CASE("transposed, sliced and differentiable tensors are saved as they look", "[io]") {
  ScratchDirectory scratch;
  const auto base = at::arange(12, at::kFloat).reshape({3, 4}).requires_grad_();
  save_tensors(scratch / "t",
               {{"transposed", base.t()}, {"column", base.select(1, 2)}, {"scalar", at::scalar_tensor(3.5)}, {"empty", at::empty({0, 3})}});
  const auto loaded = load_tensors(scratch / "t");
  REQUIRE(at::equal(loaded.at("transposed"), base.detach().t()));
  REQUIRE(at::equal(loaded.at("column"), base.detach().select(1, 2)));
  REQUIRE(loaded.at("scalar").item<float>() == 3.5f);
  REQUIRE(loaded.at("empty").sizes() == at::IntArrayRef({0, 3}));
}

TEST_CASE("a view shares the file's memory and outlives the file object", "[io]") {
  ScratchDirectory scratch;
  save_tensors(scratch / "t", {{"a", at::arange(1000, at::kFloat)}});
  at::Tensor tensor;
  {
    const auto file = SafetensorsFile::open(scratch / "t");
    tensor = view(file, file.entries()[0]);
    REQUIRE(tensor.const_data_ptr() == file.bytes(file.entries()[0]).data());
    release_pages(file, file.entries()[0]);
  }
  REQUIRE(at::equal(tensor, at::arange(1000, at::kFloat)));
  tensor.fill_(0);  // a private copy: the file stays
  REQUIRE(load_tensors(scratch / "t").at("a")[7].item<float>() == 7);
}

TEST_CASE("an unaligned tensor is copied", "[io]") {
  ScratchDirectory scratch;
  std::string bytes =
      safetensors_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})", 5);
  const float value = 2.5f;
  std::memcpy(bytes.data() + bytes.size() - 4, &value, 4);
  graft::write_file(scratch / "t", bytes);
  const auto file = SafetensorsFile::open(scratch / "t");
  const auto tensor = view(file, *file.find("b"));
  REQUIRE(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 4 == 0);
  REQUIRE(tensor.item<float>() == 2.5f);
}

TEST_CASE("a BOOL tensor with another byte than 0 and 1 is refused", "[io]") {
  ScratchDirectory scratch;
  std::string bytes = safetensors_bytes(R"({"m":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})", 3);
  bytes.back() = 7;
  graft::write_file(scratch / "t", bytes);
  const auto file = SafetensorsFile::open(scratch / "t");
  REQUIRE_THROWS_WITH(view(file, file.entries()[0]), Contains("BOOL") && Contains(": m"));
  REQUIRE_THROWS_AS(load_tensors(scratch / "t"), graft::DataError);
}

TEST_CASE("a dtype the format does not have is refused by name", "[io]") {
  REQUIRE_THROWS_WITH(to_dtype(at::kComplexFloat), Contains("ComplexFloat"));
}

TEST_CASE("tensors are read piece by piece to any device", "[io]") {
  ScratchDirectory scratch;
  // Below a unit, at its edge, several threads' worth, and more than two pinned pieces of 8 MiB with a rest.
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const int64_t size : {0, 1, 131072, 131073, 3000001, 25000003})
    tensors.emplace_back(std::to_string(size), at::arange(size, at::kInt).remainder_(251).to(at::kByte));
  tensors.emplace_back("half", at::arange(6, at::kHalf).view({2, 3}));
  save_tensors(scratch / "t", tensors);
  const auto file = SafetensorsFile::open(scratch / "t");
  graft::test::for_each_device([&](at::Device device) {
    for (const auto& [name, tensor] : tensors) {
      INFO(name << " on " << device);
      const at::Tensor read = at::zeros(tensor.sizes(), tensor.options().device(device));
      read_into(file, *file.find(name), read);
      REQUIRE(at::equal(read.cpu(), tensor));
      REQUIRE(at::equal(read_bytes(file, *file.find(name), device).cpu(), tensor.contiguous().view({-1}).view(at::kByte)));
    }
  });
  REQUIRE_THROWS_AS(read_into(file, *file.find("half"), at::zeros({7}, at::kHalf)), graft::InternalError);
}

TEST_CASE("a file that is cut short between opening and reading is an error and no signal", "[io]") {
  ScratchDirectory scratch;
  save_tensors(scratch / "t", {{"a", at::ones({1 << 20}, at::kFloat)}});
  const auto file = SafetensorsFile::open(scratch / "t");
  std::filesystem::resize_file(scratch / "t", 1 << 20);
  graft::test::for_each_device([&](at::Device device) {
    REQUIRE_THROWS_WITH(read_bytes(file, file.entries()[0], device), Contains("changed while it was being read"));
  });
}
