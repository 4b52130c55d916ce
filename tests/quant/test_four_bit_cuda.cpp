// The GPU kernels against the CPU's loops, bit for bit. The CPU half of these tests compares the CPU with itself through the same
// interface.
#include <ATen/Functions.h>

#include <limits>

#include "graft/base/error.h"
#include "graft/quant/four_bit.h"
#include "support/catch.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::quant;
using graft::test::for_each_device;

namespace {

const std::vector<std::pair<int64_t, int64_t>> kShapes = {{256, 320}, {64, 96}, {77, 93}, {1, 4097}, {3, 5}, {1, 1}};

at::Tensor random_matrix(int64_t rows, int64_t columns, at::ScalarType dtype) {
  at::manual_seed(static_cast<uint64_t>(rows * columns));
  at::Tensor weight = at::randn({rows, columns}) * 0.05;
  if (rows > 100) weight.narrow(0, 0, 40).zero_();  // whole blocks of zeros
  return weight.to(dtype);
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.cpu().contiguous(), y = b.cpu().contiguous();
  return x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type() &&
         std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

void for_each_form(const std::function<void(const at::Tensor& weight, const FourBitOptions& options)>& body) {
  for (const auto type : {FourBitType::kNf4, FourBitType::kFp4})
    for (const bool twice : {false, true})
      for (const int64_t block : {32, 64, 128, 256, 512, 1024, 2048, 4096})
        for (const auto& [rows, columns] : kShapes)
          for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) body(random_matrix(rows, columns, dtype), {type, twice, block});
}

}  // namespace

TEST_CASE("encoding gives the CPU's codes and maxima on every device", "[quant][cuda]") {
  for_each_device([](at::Device device) {
    for_each_form([&](const at::Tensor& weight, const FourBitOptions& options) {
      const auto expected = encode(weight, options, "w"), found = encode(weight.to(device), options, "w");
      INFO(to_string(options.type) << " block " << options.block << " " << weight.sizes() << " " << c10::toString(weight.scalar_type()));
      REQUIRE(found.codes.device().type() == device.type());
      REQUIRE(same_bits(found.codes, expected.codes));
      REQUIRE(same_bits(found.absmax, expected.absmax));
      REQUIRE(found.offset == expected.offset);
      if (options.double_quant) REQUIRE(same_bits(found.nested_absmax, expected.nested_absmax));
    });
  });
}

TEST_CASE("decoding gives the CPU's bits on every device, for every pair of dtypes", "[quant][cuda]") {
  for_each_device([](at::Device device) {
    for_each_form([&](const at::Tensor& weight, const FourBitOptions& options) {
      auto stored = encode(weight, options, "w");
      std::vector<at::Tensor> expected;
      for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) expected.push_back(decode(stored, dtype));
      stored.move(device);
      for (const at::Tensor& matrix : expected) REQUIRE(same_bits(decode(stored, matrix.scalar_type()), matrix));
    });
  });
}

TEST_CASE("decoding into a wider matrix writes the weight's columns and nothing else", "[quant][cuda]") {
  for_each_device([](at::Device device) {
    for (const auto& [rows, columns] : kShapes)
      for (const int64_t spare : {0, 3, 8, 64})
        for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
          auto stored = encode(random_matrix(rows, columns, at::kBFloat16), {FourBitType::kNf4, true, 64}, "w");
          const at::Tensor expected = decode(stored, dtype);
          stored.move(device);
          at::Tensor wide = at::full({rows, columns + spare}, 7.0, at::TensorOptions(dtype).device(device));
          decode_into(stored, wide.narrow(1, 0, columns));
          REQUIRE(same_bits(wide.narrow(1, 0, columns), expected));
          if (spare > 0) REQUIRE((wide.narrow(1, columns, spare) == 7.0).all().item<bool>());
        }
    const auto stored = encode(at::ones({4, 8}), {}, "w");
    REQUIRE_THROWS_AS(decode_into(stored, at::ones({8, 4})), InternalError);
  });
}

TEST_CASE("NaN and infinity are found on every device", "[quant][cuda]") {
  for_each_device([](at::Device device) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      at::Tensor weight = random_matrix(64, 96, at::kFloat);
      weight[50][7] = bad;
      REQUIRE_THROWS_WITH(encode(weight.to(device), {}, "layers.3.up_proj"), Contains("layers.3.up_proj"));
    }
  });
}
