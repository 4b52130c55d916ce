#include "graft/ops/dropout.h"

#include "graft/ops/dropped_factors.h"
#include "graft/ops/low_rank_sum.h"
#include "ops/support.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::testing;

TEST_CASE("philox gives the words of its authors' known-answer tests", "[ops]") {
  const auto words = [](const ops::RandomWords& r) { return std::vector<uint32_t>(r.word, r.word + 4); };
  REQUIRE(words(ops::philox(0, 0)) == std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const uint64_t ones = ~uint64_t{0};
  REQUIRE(words(ops::philox(ones, ones, ones)) == std::vector<uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("which entries are dropped is the header's rule, for every dtype, shape and device", "[ops]") {
  constexpr uint64_t kSeed = 0x1234567890abcdef;
  const ops::Dropout dropout(kSeed, 0.7, {99, {}});
  const auto kept = [&](int64_t i) {
    const uint32_t word = ops::philox(kSeed, static_cast<uint64_t>(i / 8), 99).word[i % 8 / 2];
    return (i % 2 == 0 ? word & 0xffff : word >> 16) < 45875;  // 0.7 · 2^16
  };
  test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
      for (const int64_t count : {1, 7, 8, 1000, 4099}) {
        auto expected = seeded_normal({count + 1}, dtype, 3);
        const auto given = expected.to(device);
        for (const int64_t offset : {0, 1}) {  // 1: not aligned for wide accesses
          const auto x = expected.narrow(0, offset, count).clone();
          auto wanted = x.clone();
          for (int64_t i = 0; i < count; ++i)
            if (!kept(i)) wanted[i] = 0;
          INFO(device.str() << " " << dtype << " count " << count << " offset " << offset);
          REQUIRE(at::equal(ops::drop(given.narrow(0, offset, count), dropout).cpu(), wanted));
        }
      }
    }
  });
}

TEST_CASE("a dropout keeps its share, and differs by seed", "[ops]") {
  const auto ones = at::ones({1 << 18}, at::kFloat);
  for (const double keep : {0.05, 0.5, 0.95}) {
    const ops::Dropout dropout(7, keep);
    const double share = ops::drop(ones, dropout).mean().item<double>();
    REQUIRE(std::abs(share - keep) < 5 * std::sqrt(keep * (1 - keep) / (1 << 18)));  // five deviations
    REQUIRE(std::abs(dropout.keep() - keep) <= 1.0 / (1 << 17));
  }
  // Two seeds agree where both keep or both drop: half of the entries.
  const auto agree = ops::drop(ones, {1, 0.5}).eq(ops::drop(ones, {2, 0.5})).to(at::kFloat).mean().item<double>();
  REQUIRE(std::abs(agree - 0.5) < 5 * 0.5 / 512);
  const auto rounds = ops::drop(ones, {1, 0.5, {0, {}}}).eq(ops::drop(ones, {1, 0.5, {1, {}}})).to(at::kFloat).mean().item<double>();
  REQUIRE(std::abs(rounds - 0.5) < 5 * 0.5 / 512);
  REQUIRE_FALSE(ops::Dropout().drops());
  REQUIRE(ops::Dropout(1, 1e-9).keep() > 0);  // never a division by 0
  REQUIRE(ops::drop(ones, {}).is_same(ones));
}

TEST_CASE("products are added where they are kept, alone and several at once", "[ops]") {
  test::for_each_device([](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const int64_t rank : {4, 16, 20, 64, 5}) {     // 64 and 5: composed of plain operators everywhere
        for (const int64_t width : {256, 264, 40, 30}) {  // 30: no multiple of 8
          for (const size_t count : {1, 2, 3, 5}) {
            const int64_t rows = 71;
            const auto base = seeded_normal({rows, width}, dtype, 1);
            auto expected = base.to(at::kDouble);
            std::vector<ops::DroppedProduct> products;
            for (size_t n = 0; n < count; ++n) {
              const auto narrow = seeded_normal({rows, rank}, dtype, 10 + n), wide = seeded_normal({width, rank}, dtype, 20 + n);
              // The last of five drops nothing, as an adapter without dropout beside others.
              const ops::Dropout dropout = n == 4 ? ops::Dropout() : ops::Dropout(30 + n, 0.6);
              expected += ops::drop(narrow.to(at::kDouble).mm(wide.to(at::kDouble).t()), dropout);
              const bool along_rank = n % 2 == 0;  // both layouts of the wide side
              products.push_back({narrow.to(device), along_rank ? wide.to(device) : wide.t().contiguous().to(device).t(), dropout});
            }
            auto sum = base.to(device);
            ops::add_dropped(sum, products);
            INFO(device.str() << " " << dtype << " rank " << rank << " width " << width << " products " << count);
            // A sum of count·rank + 1 numbers of size one stays within five deviations. float32 rounds after every addition, the others
            // at most twice a product (the product, then the sum).
            const double size = 5 * std::sqrt(static_cast<double>(rank) * static_cast<double>(count) + 1);
            const double roundings = static_cast<double>(count) * (dtype == at::kFloat ? static_cast<double>(rank) : 2.0);
            require_close(sum.cpu(), expected, rounding(dtype, size * roundings));
          }
        }
      }
    }
  });
}

// On a GPU 16-bit types with ranks that are a multiple of 4 up to 16 take the kernels; rank 20 and a width of 30 do not.
TEST_CASE("the products with dropped inputs equal those with the input dropped first, for any number of factors", "[ops]") {
  test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      if (device.is_cpu() && dtype == at::kHalf) continue;  // no half products in this LibTorch's fast path
      for (const auto& [rows, width] : std::vector<std::pair<int64_t, int64_t>>{{1, 8}, {73, 296}, {5, 30}, {1030, 520}}) {
        for (const std::vector<int64_t>& ranks : {std::vector<int64_t>{16}, {4, 16}, {8, 12, 16}, {16, 20, 16, 4, 8}}) {
          INFO(device.str() << " " << dtype << " rows " << rows << " width " << width << " factors " << ranks.size());
          uint64_t seed = 1;
          const auto normal = [&](at::IntArrayRef shape) { return seeded_normal(shape, dtype, seed++).to(device); };
          const auto x = normal({rows, width});
          std::vector<ops::DroppedFactor> factors;
          std::vector<ops::DroppedContraction> contractions;
          for (const int64_t rank : ranks) {
            factors.push_back({normal({rank, width}), 0.5 + static_cast<double>(seed), ops::Dropout(seed, 0.9, {3, {}})});
            contractions.push_back({normal({rows, rank}), factors.back().dropout});
          }
          const auto products = ops::dropped_products(x, factors);
          const auto sums = ops::dropped_contractions(x, contractions, at::kFloat);
          REQUIRE(sums.size() == factors.size());
          int64_t column = 0;
          for (size_t i = 0; i < factors.size(); ++i) {
            const auto kept = ops::drop(x, factors[i].dropout).to(at::kDouble);
            const auto product = kept.mm(factors[i].a.to(at::kDouble).t()) * factors[i].scale;
            const auto sum = contractions[i].narrow.t().to(at::kDouble).mm(kept);
            // Float32 sums of up to n products of size 10 err by less than n roundings of that, and what LibTorch makes is rounded to x's
            // dtype once.
            const double count = 10.0 * static_cast<double>(std::max(rows, width));
            require_close(products.narrow(1, column, ranks[i]), product,
                          rounding(dtype, 2 * product.abs().max().item<double>()) + rounding(at::kFloat, factors[i].scale * count));
            const bool whole = device.is_cuda() || dtype == at::kFloat;
            require_close(sums[i], sum, rounding(whole ? at::kFloat : dtype, sum.abs().max().item<double>() + count));
            column += ranks[i];
          }
        }
      }
    }
  });
}
