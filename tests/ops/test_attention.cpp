#include "graft/ops/attention.h"

#include <cmath>
#include <limits>

#include "ops/support.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::testing;

namespace {

/// One number at a time in float64: which keys a query sees is decided here by document and distance, not by any mask of ours.
at::Tensor oracle(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor& ids, int64_t window) {
  const int64_t rows = query.size(0), length = query.size(1), group = query.size(2) / key.size(2);
  const auto q = query.to(at::kDouble), k = key.to(at::kDouble).repeat_interleave(group, 2),
             v = value.to(at::kDouble).repeat_interleave(group, 2);
  auto hidden = at::ones({rows, length, length}, at::kBool);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < length; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        const bool same = ids[row][i].item<int>() >= 0 && ids[row][i].item<int>() == ids[row][j].item<int>();
        if (same && (window == 0 || i - j < window)) hidden[row][i][j] = false;
      }
    }
  }
  const auto scores = at::einsum("blhd,bmhd->bhlm", {q, k}) / std::sqrt(static_cast<double>(q.size(3)));
  const auto weights = at::softmax(scores.masked_fill(hidden.unsqueeze(1), -std::numeric_limits<double>::infinity()), -1).nan_to_num(0);
  return at::einsum("bhlm,bmhd->blhd", {weights, v});
}

at::Tensor ids_of(const std::vector<std::vector<int>>& rows) {
  auto ids = at::empty({static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())}, at::kInt);
  for (size_t i = 0; i < rows.size(); ++i) ids[static_cast<int64_t>(i)].copy_(at::tensor(rows[i], at::kInt));
  return ids;
}

/// Two packed rows (documents of 5, 1 and 4; of 7) with padding at the end.
at::Tensor packed_ids() { return ids_of({{0, 0, 0, 0, 0, 1, 2, 2, 2, 2}, {0, 0, 0, 0, 0, 0, 0, -1, -1, -1}}); }

struct Inputs {
  at::Tensor query, key, value;
};
Inputs inputs(int64_t rows, int64_t length, int64_t heads, int64_t key_heads, at::ScalarType dtype = at::kFloat) {
  return {seeded_normal({rows, length, heads, 8}, dtype, 1), seeded_normal({rows, length, key_heads, 8}, dtype, 2),
          seeded_normal({rows, length, key_heads, 8}, dtype, 3)};
}

}  // namespace

TEST_CASE("attention stays within documents and windows, with grouped queries", "[ops]") {
  const auto ids = packed_ids();
  const auto documents = ops::Documents::from_ids(ids);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t key_heads : {1, 2, 6}) {
      for (const int64_t window : {0, 1, 3, 100}) {
        const auto [q, k, v] = inputs(2, 10, 6, key_heads, dtype);
        const auto expected = oracle(q, k, v, ids, window);
        // float32: softmax and sums of ten; bf16: weights and results are rounded.
        require_close(ops::attention(q, k, v, documents, 1 / std::sqrt(8.0), window), expected, dtype == at::kFloat ? 2e-6 : 0.03);
      }
    }
  }
}

TEST_CASE("attention's gradients equal float64 autograd's, windowed and packed", "[ops]") {
  const auto ids = packed_ids();
  const auto documents = ops::Documents::from_ids(ids);
  const auto direction = seeded_normal({2, 10, 6, 8}, at::kFloat, 4);
  for (const int64_t window : {0, 3}) {
    const auto [q, k, v] = inputs(2, 10, 6, 2);
    const auto expected = gradients([&](const auto& x) { return oracle(x[0], x[1], x[2], ids, window); },
                                    {q.to(at::kDouble), k.to(at::kDouble), v.to(at::kDouble)}, direction);
    const auto ours = gradients([&](const auto& x) { return ops::attention(x[0], x[1], x[2], documents, 1 / std::sqrt(8.0), window); },
                                {q, k, v}, direction);
    for (int i = 0; i < 3; ++i) require_close(ours[i], expected[i], 1e-5);
  }
}

TEST_CASE("a document's attention does not depend on what shares its row or batch, bit for bit", "[ops]") {
  const auto [q, k, v] = inputs(2, 10, 4, 2);
  const auto packed = ops::attention(q, k, v, ops::Documents::from_ids(packed_ids()), 0.5);
  const auto part = [](const at::Tensor& x) { return x.narrow(0, 0, 1).narrow(1, 6, 4).contiguous(); };
  const auto alone = ops::attention(part(q), part(k), part(v), ops::Documents::whole_rows(1, 4), 0.5);
  REQUIRE(at::equal(part(packed), alone));
}

TEST_CASE("a windowed document longer than several blocks equals the oracle", "[ops]") {
  // 700 and 1100 positions: more than one block of 512 queries after the first window.
  for (const int64_t length : {700, 1100}) {
    const auto [q, k, v] = inputs(1, length, 2, 1);
    const auto position = at::arange(length, at::kLong);
    const auto distance = position.unsqueeze(1) - position.unsqueeze(0);
    const auto hidden = distance.lt(0).logical_or(distance.ge(100));
    const auto scores = at::einsum("blhd,bmhd->bhlm", {q.to(at::kDouble), k.to(at::kDouble).repeat_interleave(2, 2)}) / std::sqrt(8.0);
    const auto expected = at::einsum(
        "bhlm,bmhd->blhd",
        {at::softmax(scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1), v.to(at::kDouble).repeat_interleave(2, 2)});
    require_close(ops::attention(q, k, v, ops::Documents::whole_rows(1, length), 1 / std::sqrt(8.0), 100), expected, 3e-6);
  }
}

TEST_CASE("attention with a past equals the last positions of attention over everything", "[ops]") {
  const auto [q, k, v] = inputs(2, 10, 6, 2);
  for (const int64_t window : {0, 1, 4}) {
    const auto whole = ops::attention(q, k, v, ops::Documents::whole_rows(2, 10), 0.4, window);
    for (const int64_t last : {1, 3, 10}) {
      const auto ours = ops::attention_with_past(q.narrow(1, 10 - last, last), k, v, 0.4, window);
      require_close(ours, whole.narrow(1, 10 - last, last), 1e-6);
    }
  }
}

TEST_CASE("the mask for devices without a document kernel says who sees whom", "[ops]") {
  const auto ids = packed_ids();
  const auto documents = ops::Documents::from_ids(ids);
  const auto mask = documents.mask(3, at::kCPU);
  for (int64_t row = 0; row < 2; ++row) {
    for (int64_t i = 0; i < 10; ++i) {
      for (int64_t j = 0; j < 10; ++j) {
        const int mine = ids[row][i].item<int>();
        const bool visible = i == j || (j < i && i - j < 3 && mine >= 0 && mine == ids[row][j].item<int>());
        REQUIRE(mask[row][0][i][j].item<bool>() == visible);
      }
    }
  }
}

TEST_CASE("on every device packed and windowed attention and its gradients equal the oracle, padding left aside", "[ops]") {
  // Documents of 70, 3 and 27 of 100; of 64 with padding behind; of padding and 90: kernel tiles of 64 and 128 are crossed and missed.
  auto ids = at::zeros({3, 100}, at::kInt);
  ids[0].narrow(0, 70, 3).fill_(1), ids[0].narrow(0, 73, 27).fill_(2);
  ids[1].narrow(0, 64, 36).fill_(-1), ids[2].narrow(0, 0, 10).fill_(-1);
  const auto documents = ops::Documents::from_ids(ids);
  const auto real = ids.ge(0).unsqueeze(2).unsqueeze(3).to(at::kFloat);
  test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const int64_t size : {8, 64, 128, 20}) {  // 20: no multiple of 8
        for (const int64_t window : {0, 33}) {
          const std::vector<at::Tensor> given{seeded_normal({3, 100, 4, size}, dtype, 1), seeded_normal({3, 100, 2, size}, dtype, 2),
                                              seeded_normal({3, 100, 2, size}, dtype, 3)};
          const double scale = 1 / std::sqrt(static_cast<double>(size));
          const auto direction = seeded_normal({3, 100, 4, size}, at::kFloat, 4) * real;
          std::vector<at::Tensor> wide, here;
          for (const auto& x : given) wide.push_back(x.to(at::kDouble)), here.push_back(x.to(device));
          const auto exact = [&](const auto& x) { return oracle(x[0], x[1], x[2], ids, window); };
          const auto ours = [&](const auto& x) { return ops::attention(x[0], x[1], x[2], documents, scale, window); };
          INFO(device.str() << " " << dtype << " size " << size << " window " << window);
          // bf16: weights and results of size one to three are rounded to 8 bits, and a key's gradient sums two heads' 70 queries.
          require_close((ours(here).cpu() * real), exact(wide), dtype == at::kFloat ? 1e-5 : 0.03);
          const auto expected = gradients(exact, wide, direction), found = gradients(ours, here, direction.to(device));
          for (size_t i = 0; i < 3; ++i) require_close(found[i].cpu(), expected[i], dtype == at::kFloat ? 5e-5 : 0.15);
        }
      }
    }
  });
}
