#include "graft/adapters/low_rank.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "graft/base/random.h"

namespace graft::detail {
namespace {

constexpr int64_t kFullSize = 1024, kExtraDirections = 10;
constexpr int kRounds = 16;

at::Tensor random_matrix(int64_t rows, int64_t columns, uint64_t seed, const std::string& name) {
  at::Tensor out = at::empty({rows, columns}, at::kFloat);
  RandomStream stream(seed, "low rank " + name);
  float* values = out.data_ptr<float>();
  for (int64_t i = 0; i < out.numel(); ++i) values[i] = static_cast<float>(stream.normal());
  return out;
}

at::Tensor orthonormal(const at::Tensor& matrix) { return std::get<0>(at::linalg_qr(matrix)); }

/// An orthonormal basis [rows, directions] of where most of the matrix lies. Made orthonormal after each product: powers of the matrix
/// would otherwise drown all but the first direction in rounding.
at::Tensor range_of(const at::Tensor& matrix, int64_t directions, uint64_t seed, const std::string& name) {
  at::Tensor basis = orthonormal(matrix.mm(random_matrix(matrix.size(1), directions, seed, name).to(matrix.device())));
  for (int i = 0; i < kRounds; ++i) basis = orthonormal(matrix.mm(orthonormal(matrix.t().mm(basis))));
  return basis;
}

LowRank split(const at::Tensor& left, const at::Tensor& values, const at::Tensor& right, int64_t rank) {
  const at::Tensor root = values.narrow(0, 0, rank).sqrt();
  return {(root.unsqueeze(1) * right.narrow(0, 0, rank)).contiguous(), (left.narrow(1, 0, rank) * root).contiguous()};
}

}  // namespace

LowRank nearest_low_rank(const at::Tensor& matrix, int64_t rank, uint64_t seed, const std::string& name) {
  const at::NoGradGuard no_graph;
  const at::Tensor wide = matrix.to(at::kFloat);
  const int64_t smaller = std::min(wide.size(0), wide.size(1)), directions = rank + kExtraDirections;
  if (smaller <= kFullSize || 4 * directions >= smaller) {
    const auto [left, values, right] = at::linalg_svd(wide, /*full_matrices=*/false);
    return split(left, values, right, rank);
  }
  const at::Tensor basis = range_of(wide, directions, seed, name);
  const auto [left, values, right] = at::linalg_svd(basis.t().mm(wide), /*full_matrices=*/false);
  return split(basis.mm(left), values, right, rank);
}

}  // namespace graft::detail
