#include "graft/quant/fp8.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>

#include "graft/ops/linear_group.h"
#include "graft/quant/four_bit.h"
#include "graft/quant/fp8_weight.h"
#include "ops/support.h"
#include "support/devices.h"

/// FP8 rows against the number format written out by hand; the same bits on every device; products against the decoded matrices.
using namespace graft;
using namespace graft::testing;

namespace {

/// The value of an E4M3 code without the sign: 4 exponent bits (bias 7), 3 mantissa bits, subnormal at exponent 0.
double magnitude_of(int code) {
  const int exponent = code >> 3, mantissa = code & 7;
  return exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
}

/// The code nearest to x, the even one of two equally near; 126 (448) is the largest.
uint8_t nearest_code(float x) {
  int best = 0;
  for (int code = 1; code <= 126; ++code) {
    const double gain = std::abs(std::abs(x) - magnitude_of(best)) - std::abs(std::abs(x) - magnitude_of(code));
    if (gain > 0 || (gain == 0 && code % 2 == 0)) best = code;
  }
  return static_cast<uint8_t>(best | (std::signbit(x) ? 128 : 0));
}

at::Tensor bytes_of(const at::Tensor& codes) { return codes.cpu().view(at::kByte); }

double relative_error(const at::Tensor& ours, const at::Tensor& expected) {
  const auto wide = expected.to(at::kDouble);
  return ((ours.to(at::kDouble) - wide).norm() / wide.norm()).item<double>();
}

}  // namespace

TEST_CASE("FP8 codes and scales follow the rule, element by element", "[quant]") {
  const auto x = seeded_normal({7, 33}) * at::logspace(-6, 6, 7, 10.0, at::kFloat).unsqueeze(1);
  const auto rows = quant::to_fp8(x);
  REQUIRE(rows.codes.scalar_type() == at::kFloat8_e4m3fn);
  for (int64_t i = 0; i < 7; ++i) {
    const float largest = x[i].abs().max().item<float>(), inverse = 448.0f / largest;
    REQUIRE(rows.scales[i].item<float>() == largest / 448.0f);
    for (int64_t j = 0; j < 33; ++j) REQUIRE(bytes_of(rows.codes)[i][j].item<uint8_t>() == nearest_code(x[i][j].item<float>() * inverse));
  }
  REQUIRE(at::equal(quant::decode(rows, at::kFloat), rows.codes.to(at::kFloat) * rows.scales));
}

TEST_CASE("FP8 rounds a normal matrix by 2.65 %, NF4 by 9.2 %", "[quant]") {
  const auto weight = seeded_normal({512, 1024}) * 0.02;
  const auto nf4 = quant::decode(quant::encode(weight, {quant::FourBitType::kNf4, true, 64}, "weight"), at::kFloat);
  // The values are properties of the formats (root mean square over a normal distribution); half a million weights know them to a percent.
  REQUIRE(std::abs(relative_error(quant::decode(quant::to_fp8(weight), at::kFloat), weight) - 0.0265) < 0.0005);
  REQUIRE(std::abs(relative_error(nf4, weight) - 0.092) < 0.001);
}

TEST_CASE("FP8 keeps zeros, shows NaN and infinity, and takes column factors", "[quant]") {
  graft::test::for_each_device([&](at::Device device) {
    auto x = seeded_normal({4, 32});
    x[1].zero_();
    x[2][5] = NAN;
    x[3][7] = INFINITY;
    const auto back = quant::decode(quant::to_fp8(x.to(device)), at::kFloat).cpu();
    REQUIRE(back[0].isfinite().all().item<bool>());
    REQUIRE(back[1].eq(0).all().item<bool>());
    REQUIRE(back[2].isnan().all().item<bool>());
    REQUIRE(back[3].isnan().any().item<bool>());
    const auto factors = seeded_normal({32}, at::kFloat, 3).to(device), finite = seeded_normal({4, 32}, at::kFloat, 4).to(device);
    REQUIRE(at::equal(bytes_of(quant::to_fp8(finite, factors).codes), bytes_of(quant::to_fp8(finite * factors).codes)));
  });
}

TEST_CASE("FP8 rows and transposes have the same bits on every device", "[quant]") {
  graft::test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const int64_t width : {13, 64, 4096, 40000}) {  // 40000: more than a thread block keeps in registers
        INFO(device.str() << " " << dtype << " width " << width);
        const auto x = seeded_normal({9, width}, dtype), factors = seeded_normal({width}, at::kFloat, 5);
        const auto here = quant::to_fp8(x, factors), there = quant::to_fp8(x.to(device), factors.to(device));
        REQUIRE(at::equal(bytes_of(here.codes), bytes_of(there.codes)));
        REQUIRE(at::equal(here.scales, there.scales.cpu()));
        REQUIRE(at::equal(bytes_of(quant::transposed(there.codes)), bytes_of(here.codes).t()));
      }
    }
    const auto square = quant::to_fp8(seeded_normal({208, 144}).to(device)).codes;  // sides the tiled kernel takes, not whole tiles
    REQUIRE(at::equal(bytes_of(quant::transposed(square)), bytes_of(square).t()));
  });
}

TEST_CASE("an FP8 weight multiplies like its decoded matrix, forward and backward", "[quant]") {
  graft::test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      INFO(device.str() << " " << dtype);
      const auto stored = quant::to_fp8((seeded_normal({96, 64}) * 0.1).to(device));
      const quant::Fp8Weight weight(stored, dtype);
      const auto dense = quant::decode(stored, at::kDouble);
      const auto x = seeded_normal({37, 64}, dtype, 2).to(device), g = seeded_normal({37, 96}, dtype, 3).to(device);
      const auto bias = seeded_normal({96}, dtype, 4).to(device);
      // Where products run in FP8 the other factor is rounded to it: 2.65 % of a normal matrix (RMS), as its weight error is. Elsewhere
      // only the compute dtype rounds.
      const double bound = quant::multiplies_fp8(stored.codes, dtype) ? 0.035 : dtype == at::kFloat ? 1e-6 : 6e-3;
      const auto y = x.to(at::kDouble).mm(dense.t()), dx = g.to(at::kDouble).mm(dense);
      REQUIRE(relative_error(weight.product(ops::Rows(x)), y) < bound);
      REQUIRE(relative_error(weight.linear(x, bias, ops::LinearForm::kAddmm), y + bias.to(at::kDouble)) < bound);
      REQUIRE(relative_error(weight.input_gradient(g), dx) < bound);
      REQUIRE(relative_error(weight.add_linear(at::ones({37, 96}, x.options()), x), y + 1) < bound);
      REQUIRE(relative_error(weight.add_input_gradient(at::ones({37, 64}, x.options()), g), dx + 1) < bound);
    }
  });
}

TEST_CASE("a group of FP8 weights adds its adapters to what the weights give", "[quant]") {
  graft::test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const int64_t rank : {6, 16}) {  // without and with the one-pass kernel, on a GPU
        INFO(device.str() << " " << dtype << " rank " << rank);
        const auto x = seeded_normal({150, 64}, dtype, 2).to(device);
        std::vector<ops::LinearOperand> operands;
        std::vector<at::Tensor> gradients;
        at::Tensor dx = at::zeros({150, 64}, at::TensorOptions(at::kDouble).device(device));
        std::vector<at::Tensor> expected;
        for (int i = 0; i < 3; ++i) {
          const auto seed = static_cast<uint64_t>(10 * (i + 1));
          const auto stored = quant::to_fp8((seeded_normal({96, 64}, at::kFloat, seed) * 0.1).to(device));
          const auto a = (seeded_normal({rank, 64}, at::kFloat, seed + 1) * 0.2).to(device);
          const auto b = (seeded_normal({96, rank}, at::kFloat, seed + 2) * 0.2).to(device);
          operands.push_back({std::make_shared<quant::Fp8Weight>(stored, dtype), {}, {{a, b, 2.0, {}}}});
          gradients.push_back(seeded_normal({150, 96}, dtype, seed + 3).to(device));
          const auto matrix = quant::decode(stored, at::kDouble) + 2.0 * b.to(at::kDouble).mm(a.to(at::kDouble));
          expected.push_back(x.to(at::kDouble).mm(matrix.t()));
          dx += gradients.back().to(at::kDouble).mm(matrix);
        }
        const ops::LinearGroup group(operands);
        std::vector<at::Tensor> saved;
        const auto y = group.forward(x, ops::LinearForm::kOwn, &saved);
        const double bound = 0.035;  // as above; the low-rank parts are rounded to the compute dtype only
        for (size_t i = 0; i < 3; ++i) REQUIRE(relative_error(y[i], expected[i]) < bound);
        const auto narrow = group.narrow_gradients(gradients, saved, 0);
        REQUIRE(relative_error(group.input_gradient(gradients, narrow, saved, 0), dx) < bound);
        const ops::LinearGroup one({operands.front()});
        std::vector<at::Tensor> saved_one;
        const auto addend = seeded_normal({150, 96}, dtype, 77).to(device);
        REQUIRE(relative_error(one.forward_onto(addend, x, &saved_one), expected[0] + addend.to(at::kDouble)) < bound);
      }
    }
  });
}
