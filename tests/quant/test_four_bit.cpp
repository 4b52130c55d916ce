#include <ATen/Functions.h>

#include <cmath>
#include <limits>

#include "graft/base/error.h"
#include "graft/quant/four_bit_weight.h"
#include "support/catch.h"

using namespace graft;
using namespace graft::quant;

namespace {

// --- The oracle: one weight at a time, from the description of the formats; shares no code with the implementation. ---

// Literals of float type: as doubles four of them would be exact midpoints of two floats and round to the other one.
const float kThresholds[15] = {-0.8480964004993439F,  -0.6106329262256622F,  -0.4599952697753906F,   -0.33967943489551544F,
                               -0.23460740596055984F, -0.13791173323988914F, -0.045525018125772476F, 0.03979014977812767F,
                               0.1202552504837513F,   0.2035212516784668F,   0.2920137718319893F,    0.3893125355243683F,
                               0.5016634166240692F,   0.6427869200706482F,   0.8614784181118011F};

int nf4_oracle(float x) {
  int code = 0;
  for (const float t : kThresholds) code += x > t;
  return code;
}

/// The tree of comparisons of bitsandbytes' kernel.
int fp4_oracle(float x) {
  const int sign = x < 0 ? 8 : 0;
  x = std::fabs(x);
  if (x > 0.29166667F) {
    if (x > 0.583333F) return (x > 0.8333333F ? 3 : 2) + sign;
    return (x > 0.4166667F ? 5 : 4) + sign;
  }
  if (x > 0.0859375F) return (x > 0.20833333F ? 7 : 6) + sign;
  return (x > 0.00260417F ? 1 : 0) + sign;
}

struct Oracle {
  std::vector<uint8_t> codes;
  std::vector<float> absmax, decoded;
};

Oracle oracle(const at::Tensor& weight, FourBitType type, int64_t block) {
  const at::Tensor flat = weight.to(at::kFloat).reshape({-1}).contiguous();
  const float* w = flat.const_data_ptr<float>();
  const int64_t count = flat.numel();
  Oracle result;
  result.codes.assign(static_cast<size_t>((count + 1) / 2), 0);
  for (int64_t first = 0; first < count; first += block) {
    const int64_t last = std::min(first + block, count);
    float largest = 0;
    for (int64_t i = first; i < last; ++i) largest = std::max(largest, std::fabs(w[i]));
    result.absmax.push_back(largest);
    for (int64_t i = first; i < last; ++i) {
      const float x = w[i] * (1.0F / largest);
      const int code = type == FourBitType::kNf4 ? nf4_oracle(x) : fp4_oracle(x);
      result.codes[static_cast<size_t>(i / 2)] |= static_cast<uint8_t>(i % 2 == 0 ? code << 4 : code);
      result.decoded.push_back(codebook(type)[static_cast<size_t>(code)] * largest);
    }
  }
  if (count % 2 == 1) result.codes.back() |= type == FourBitType::kNf4 ? 7 : 0;
  return result;
}

at::Tensor tensor_of(const std::vector<float>& values, at::IntArrayRef shape) { return at::tensor(values).reshape(shape); }

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(), a.nbytes()) == 0;
}

at::Tensor random_matrix(int64_t rows, int64_t columns, at::ScalarType dtype, int seed = 1) {
  at::manual_seed(static_cast<uint64_t>(seed));
  return (at::randn({rows, columns}) * 0.05).to(dtype);
}

}  // namespace

TEST_CASE("codes, maxima and decoded weights equal the scalar oracle: both formats, every block size, odd and short shapes", "[quant]") {
  for (const auto type : {FourBitType::kNf4, FourBitType::kFp4})
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
      for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{48, 80}, {7, 9}, {1, 1}, {3, 4099}})
        for (const int64_t block : {32, 64, 128, 256, 512, 1024, 2048, 4096}) {
          const at::Tensor weight = random_matrix(rows, columns, dtype);
          const auto expected = oracle(weight, type, block);
          const auto stored = encode(weight, {type, false, block}, "w");
          INFO(to_string(type) << " " << rows << " x " << columns << " block " << block << " " << c10::toString(dtype));
          REQUIRE(stored.blocks() == static_cast<int64_t>(expected.absmax.size()));
          REQUIRE(std::equal(expected.codes.begin(), expected.codes.end(), stored.codes.const_data_ptr<uint8_t>()));
          REQUIRE(same_bits(stored.absmax, at::tensor(expected.absmax)));
          REQUIRE(same_bits(decode(stored, dtype), tensor_of(expected.decoded, {rows, columns}).to(dtype)));
        }
}

TEST_CASE("a value on a threshold takes the lower code, the next float above it the upper one", "[quant]") {
  for (size_t t = 0; t < 15; ++t) {
    const float threshold = kThresholds[t];
    at::Tensor weight = at::zeros({1, 32});
    weight[0][0] = 1.0;  // the maximum, so that x = w
    weight[0][2] = threshold;
    weight[0][4] = std::nextafter(threshold, 2.0F);
    const auto stored = encode(weight, {FourBitType::kNf4, false, 32}, "w");
    CHECK(stored.codes[1].item<uint8_t>() >> 4 == static_cast<int>(t));
    CHECK(stored.codes[2].item<uint8_t>() >> 4 == static_cast<int>(t) + 1);
  }
}

TEST_CASE("a block of zeros has maximum 0 and decodes to zeros; NaN and infinity are refused by name", "[quant]") {
  at::Tensor weight = random_matrix(4, 64, at::kFloat);
  weight[2].zero_();
  for (const bool twice : {false, true}) {
    const auto stored = encode(weight, {FourBitType::kNf4, false, 64}, "w");
    CHECK(stored.absmax[2].item<float>() == 0);
    CHECK(decode(stored, at::kFloat)[2].abs().max().item<float>() == 0);
    const auto zeros = encode(at::zeros({4, 64}), {FourBitType::kNf4, twice, 64}, "w");
    CHECK(decode(zeros, at::kFloat).abs().max().item<float>() == 0);
  }
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    weight[3][5] = bad;
    REQUIRE_THROWS_WITH(encode(weight, {}, "model.layers.0.mlp.up_proj.weight"),
                        Contains("model.layers.0.mlp.up_proj.weight") && Contains("NaN"));
    REQUIRE_THROWS_AS(encode(weight, {}, "w"), DataError);
  }
}

TEST_CASE("double quantization: nearest entry of the map, two roundings back, mean kept", "[quant]") {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{128, 1024}, {5, 77}, {1, 40}}) {
    const at::Tensor weight = random_matrix(rows, columns, at::kBFloat16, 3);
    const auto plain = encode(weight, {FourBitType::kNf4, false, 64}, "w"), stored = encode(weight, {FourBitType::kNf4, true, 64}, "w");
    REQUIRE(stored.nested());
    REQUIRE(same_bits(stored.codes, plain.codes));
    CHECK(stored.offset == plain.absmax.mean().item<float>());
    const at::Tensor maxima = decode_absmax(stored);
    const auto& map = dynamic_map();
    for (int64_t b = 0; b < stored.blocks(); ++b) {
      const int64_t first = b / 256 * 256, last = std::min(first + 256, stored.blocks());
      float largest = 0;
      for (int64_t i = first; i < last; ++i) largest = std::max(largest, std::fabs(plain.absmax[i].item<float>() - stored.offset));
      REQUIRE(stored.nested_absmax[b / 256].item<float>() == largest);
      if (largest == 0) continue;  // one block: its maximum is the mean
      const float x = (plain.absmax[b].item<float>() - stored.offset) * (1.0F / largest);
      const auto code = stored.absmax[b].item<uint8_t>();
      double best = 10;
      for (const float entry : map) best = std::min(best, std::fabs(static_cast<double>(x) - entry));
      // The search compares with a midpoint rounded to float32.
      CHECK(std::fabs(static_cast<double>(x) - map[code]) <= best + 1e-7);
      volatile float product = map[code] * largest;
      CHECK(maxima[b].item<float>() == product + stored.offset);
    }
  }
}

TEST_CASE("the dynamic map has the values that the formats' description names", "[quant]") {
  const auto& map = dynamic_map();
  CHECK(std::is_sorted(map.begin(), map.end()));
  CHECK(map[0] == -0.992968738F);
  CHECK(map[1] == -0.978906274F);
  CHECK(map[127] == 0.0F);
  CHECK(map[128] == 5.50000038e-07F);
  CHECK(map[191] == 0.107031256F);
  CHECK(map[254] == 0.992968738F);
  CHECK(map[255] == 1.0F);
  for (size_t i = 0; i < 256; ++i) CHECK(nearest_in_dynamic_map(map[i]) == i);
}

TEST_CASE("decoding to another dtype rounds twice: to the state's own, then to the one asked for", "[quant]") {
  const at::Tensor weight = random_matrix(16, 96, at::kHalf);
  const auto stored = encode(weight, {FourBitType::kNf4, true, 64}, "w");
  CHECK(same_bits(decode(stored, at::kBFloat16), decode(stored, at::kHalf).to(at::kBFloat16)));
  CHECK(same_bits(decode(stored, at::kFloat), decode(stored, at::kHalf).to(at::kFloat)));
  CHECK(same_bits(decode(stored, at::kDouble), decode(stored, at::kHalf).to(at::kDouble)));
}

TEST_CASE("only matrices of floats, and blocks of a power of two from 32, can be stored", "[quant]") {
  for (const int64_t block : {0, 16, 48, 8192, -64})
    CHECK_THROWS_AS(encode(at::ones({2, 2}), {FourBitType::kNf4, false, block}, "w"), UsageError);
  CHECK_THROWS_AS(encode(at::ones({4}), {}, "w"), UsageError);
  CHECK_THROWS_AS(encode(at::ones({0, 4}), {}, "w"), UsageError);
  CHECK_THROWS_AS(encode(at::ones({4, 4}, at::kLong), {}, "w"), UsageError);
  CHECK_THROWS_WITH(four_bit_type("nf5"), Contains("nf4"));
}

TEST_CASE("a 4-bit weight multiplies like its decoded matrix, also in another compute dtype", "[quant]") {
  const at::Tensor weight = random_matrix(24, 70, at::kBFloat16);
  const auto stored = encode(weight, {FourBitType::kNf4, true, 64}, "w");
  const at::Tensor x = at::randn({2, 5, 70}).to(at::kBFloat16), g = at::randn({10, 24}).to(at::kBFloat16),
                   bias = at::randn({24}).to(at::kBFloat16);
  const FourBitWeight plain(stored, at::kBFloat16), wide(stored, at::kBFloat16, at::kFloat);
  const at::Tensor w = decode(stored, at::kBFloat16);
  CHECK(at::equal(plain.linear(x, {}, ops::LinearForm::kMatmul), x.matmul(w.t())));
  CHECK(at::equal(plain.input_gradient(g), g.mm(w)));
  CHECK(at::equal(wide.linear(x, bias, ops::LinearForm::kLinear),
                  at::linear(x.to(at::kFloat), w.to(at::kFloat), bias.to(at::kFloat)).to(at::kBFloat16)));
  CHECK(at::equal(wide.input_gradient(g), g.to(at::kFloat).mm(w.to(at::kFloat)).to(at::kBFloat16)));
  // The forms that add onto a sum compute in the same dtype as those that make a fresh result.
  const at::Tensor flat = x.view({10, 70});
  const auto ones = [](int64_t width) { return at::ones({10, width}, at::kBFloat16); };
  CHECK(at::equal(plain.add_linear(ones(24), flat), ones(24).addmm_(flat, w.t())));
  CHECK(at::equal(wide.add_linear(ones(24), flat), wide.linear(flat, {}, ops::LinearForm::kOwn) + 1));
  CHECK(at::equal(wide.add_input_gradient(ones(70), g), wide.input_gradient(g) + 1));
  CHECK(plain.kind() == "nf4");
  CHECK(plain.sizes() == at::IntArrayRef({24, 70}));
}
