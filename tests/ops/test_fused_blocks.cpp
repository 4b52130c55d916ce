#include "graft/ops/norm_gated_mlp.h"
#include "graft/ops/norm_linears.h"
#include "graft/ops/rotary.h"
#include "ops/support.h"
#include "support/devices.h"

/// norm_linears and norm_gated_mlp against the formula in float64 through plain autograd, with explicit W + scale · B·A. The same cases run
/// on a GPU when there is one (and the build has kernels).
using namespace graft;
using namespace graft::testing;

namespace {

constexpr double kEpsilon = 1e-5;

/// Stands for adapters/: weights registered here count as adapted.
struct Adapted {
  at::Tensor weight;
  std::vector<ops::LoraTerm> terms;
};
std::vector<Adapted> adapted;

std::optional<ops::LinearOperand> read_operand(const at::Tensor& weight, const at::Tensor& /*x*/, bool* is_adapted) {
  for (const Adapted& entry : adapted) {
    if (!entry.weight.is_same(weight)) continue;
    *is_adapted = true;
    return ops::LinearOperand{std::make_shared<ops::DenseWeight>(weight), {}, entry.terms};
  }
  return std::nullopt;
}

/// A case: plain tensors, and the trained ones among them.
struct Case {
  at::Tensor x, delta, norm;
  std::vector<at::Tensor> weights, a, b;  // one Linear each: gate, up, down (or q, k, v)
  std::vector<double> scales;
  std::vector<at::Tensor> masks;
  at::Device device = at::kCPU;

  std::vector<at::Tensor> leaves() const {
    std::vector<at::Tensor> all{x, delta};
    all.insert(all.end(), a.begin(), a.end());
    all.insert(all.end(), b.begin(), b.end());
    return all;
  }
};

/// `one_rank`: of every factor; 0: 3, 4 and 5.
Case make_case(at::Device device, at::ScalarType dtype, bool dropout, bool one_scale, int64_t width, int64_t wide, bool mlp,
               int64_t one_rank = 0, int64_t length = 5) {
  Case c;
  c.device = device;
  uint64_t seed = 10;
  const auto normal = [&](at::IntArrayRef shape, double size) { return (seeded_normal(shape, at::kFloat, seed++) * size).to(device); };
  c.x = normal({2, length, width}, 1).to(dtype).requires_grad_(true);
  c.delta = normal({2, length, width}, 0.5).to(dtype).requires_grad_(true);
  c.norm = (normal({width}, 0.1) + 1).to(dtype);
  const std::vector<std::pair<int64_t, int64_t>> shapes =
      mlp ? std::vector<std::pair<int64_t, int64_t>>{{wide, width}, {wide, width}, {width, wide}}
          : std::vector<std::pair<int64_t, int64_t>>{{wide, width}, {width, width}, {width, width}};
  for (size_t i = 0; i < 3; ++i) {
    const auto [out, in] = shapes[i];
    const int64_t rank = one_rank > 0 ? one_rank : 3 + static_cast<int64_t>(i);
    c.weights.push_back(normal({out, in}, 1 / std::sqrt(static_cast<double>(in))).to(dtype));
    c.a.push_back(normal({rank, in}, 0.2).requires_grad_(true));
    c.b.push_back(normal({out, rank}, 0.2).requires_grad_(true));
    c.scales.push_back(one_scale ? 2.0 : 0.5 + static_cast<double>(i));
    const ops::Dropout drops = dropout ? ops::Dropout(seed++, 0.75) : ops::Dropout();
    c.masks.push_back(dropout ? ops::drop(at::ones({2, length, in}, at::kFloat), drops).to(device) : at::Tensor());
    adapted.push_back({c.weights[i], {{c.a[i], c.b[i], c.scales[i], drops}}});
  }
  return c;
}

/// x·Wᵀ + scale · (drop(x)·Aᵀ)·Bᵀ in float64.
at::Tensor oracle_linear(const Case& c, const std::vector<at::Tensor>& leaves, size_t i, const at::Tensor& x) {
  const at::Tensor kept = c.masks[i].defined() ? x * c.masks[i].to(at::kDouble) / 0.75 : x;
  return x.matmul(c.weights[i].to(at::kDouble).t()) + kept.matmul(leaves[2 + i].t()).matmul(leaves[5 + i].t()) * c.scales[i];
}

at::Tensor oracle_norm(const at::Tensor& x, const at::Tensor& weight) {
  return x * (x.square().mean(-1, true) + kEpsilon).rsqrt() * weight.to(at::kDouble);
}

at::Tensor oracle_mlp(const Case& c, const std::vector<at::Tensor>& leaves) {
  const auto sum = leaves[0] + leaves[1], n = oracle_norm(sum, c.norm);
  const auto gate = oracle_linear(c, leaves, 0, n);
  return sum + oracle_linear(c, leaves, 2, gate * gate.sigmoid() * oracle_linear(c, leaves, 1, n));
}

at::Tensor oracle_linears(const Case& c, const std::vector<at::Tensor>& leaves) {
  const auto n = oracle_norm(leaves[0], c.norm);
  return at::cat({oracle_linear(c, leaves, 0, n), oracle_linear(c, leaves, 1, n), oracle_linear(c, leaves, 2, n), leaves[0] + leaves[1]},
                 -1);
}

at::Tensor fused_mlp(const Case& c, ops::Pass pass = {}) {
  return ops::norm_gated_mlp(c.x, c.delta, c.norm, kEpsilon, {{c.weights[0], {}}, {c.weights[1], {}}, {c.weights[2], {}}}, pass);
}

at::Tensor fused_linears(const Case& c) {
  const auto result = ops::norm_linears(c.x, c.norm, kEpsilon, {{c.weights[0], {}}, {c.weights[1], {}}, {c.weights[2], {}}});
  auto parts = result.outputs;
  parts.push_back(result.residual + c.delta);
  return at::cat(parts, -1);
}

double size_of(const at::Tensor& tensor) { return tensor.abs().max().item<double>(); }

using Oracle = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// The oracle's output, and its gradients along a fixed direction, which backward from `ours` is given too.
struct Expected {
  at::Tensor output, direction;
  std::vector<at::Tensor> gradients;
};
Expected expect(const Case& c, const Oracle& oracle) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& leaf : c.leaves()) leaves.push_back(leaf.detach().to(at::kDouble).requires_grad_(true));
  const auto output = oracle(leaves);
  Expected expected{output.detach(), seeded_normal(output.sizes(), at::kDouble, 99).to(c.device), {}};
  torch::autograd::backward({(output * expected.direction).sum()}, {});
  for (const at::Tensor& leaf : leaves) expected.gradients.push_back(leaf.grad());
  return expected;
}

void compare_gradients(const Case& c, const at::Tensor& ours, const Expected& expected, double units) {
  torch::autograd::backward({ours}, {expected.direction.to(ours.scalar_type())});
  for (size_t i = 0; i < expected.gradients.size(); ++i) {
    INFO("leaf " << i);
    REQUIRE(c.leaves()[i].grad().defined());
    require_close(c.leaves()[i].grad(), expected.gradients[i], rounding(c.x.scalar_type(), units * size_of(expected.gradients[i])));
  }
}

/// Output and all gradients within `units` roundings of their largest value.
void compare(const Case& c, const at::Tensor& ours, const Oracle& oracle, double units) {
  const auto expected = expect(c, oracle);
  require_close(ours.detach(), expected.output, rounding(c.x.scalar_type(), units * size_of(expected.output)));
  compare_gradients(c, ours, expected, units);
}

struct Reader {
  Reader() {
    adapted.clear();
    ops::register_operand_reader(read_operand);
  }
  ~Reader() { ops::register_operand_reader(nullptr); }
};

}  // namespace

TEST_CASE("the fused blocks equal the formula in float64, forward and backward, with and without dropout", "[ops]") {
  const Reader reader;
  graft::test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const bool dropout : {false, true}) {
        for (const bool one_scale : {true, false}) {
          for (const int64_t width : {16, 13}) {  // 13: rows that no vector load fits
            INFO(device.str() << " " << dtype << " dropout " << dropout << " one scale " << one_scale << " width " << width);
            // Roundings add up along the chain (norm, product, activation, product): 24 of them bound the longest path; a GPU's fast
            // exponential costs a few more in float32.
            const double units = dtype == at::kFloat ? 96 : 24;
            const Case mlp = make_case(device, dtype, dropout, one_scale, width, 24, true);
            compare(
                mlp, fused_mlp(mlp), [&](const auto& leaves) { return oracle_mlp(mlp, leaves); }, units);
            const Case linears = make_case(device, dtype, dropout, one_scale, width, 24, false);
            compare(
                linears, fused_linears(linears), [&](const auto& leaves) { return oracle_linears(linears, leaves); }, units);
          }
        }
      }
    }
  });
}

// On a GPU 16-bit types with a rank that is a multiple of 4 up to 32 take the kernels that add the low-rank parts inside SwiGLU; 66 takes
// the other path.
TEST_CASE("the gated MLP equals the formula for every kind of rank, and for more rows and columns than one tile", "[ops]") {
  const Reader reader;
  graft::test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      if (device.is_cpu() && dtype == at::kHalf) continue;  // the same loops as bfloat16, and no half products in this LibTorch's fast path
      for (const int64_t rank : {2, 4, 16, 18, 24, 32, 64, 66}) {
        for (const bool dropout : {false, true}) {
          INFO(device.str() << " " << dtype << " rank " << rank << " dropout " << dropout);
          const Case c = make_case(device, dtype, dropout, true, 16, rank == 16 ? 296 : 24, true, rank, rank == 16 ? 73 : 5);
          compare(
              c, fused_mlp(c), [&](const auto& leaves) { return oracle_mlp(c, leaves); }, dtype == at::kFloat ? 128 : 32);
        }
      }
    }
  });
}

TEST_CASE("a gradient-only pass gives the gradients of a full one", "[ops]") {
  const Reader reader;
  graft::test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const Case c = make_case(device, dtype, false, true, 16, 24, true, 16);
      std::vector<at::Tensor> kept;
      {
        const at::NoGradGuard no_graph;  // as recompute runs the first pass
        fused_mlp(c, {false, &kept});
      }
      REQUIRE(kept.size() == 1);
      compare_gradients(c, fused_mlp(c, {true, &kept}), expect(c, [&](const auto& leaves) { return oracle_mlp(c, leaves); }),
                        dtype == at::kFloat ? 96 : 32);
    }
  });
}

TEST_CASE("a retained graph gives the same gradients twice", "[ops]") {
  const Reader reader;
  graft::test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const Case c = make_case(device, dtype, false, true, 16, 24, true, 16);
      const auto y = fused_mlp(c).sum();
      torch::autograd::backward({y}, {}, /*retain_graph=*/true);
      const auto once = c.a[0].grad().clone();
      torch::autograd::backward({y}, {});
      require_close(c.a[0].grad(), once * 2, rounding(at::kFloat, 4 * size_of(once)));
    }
  });
}

// Query of four heads, key and value of two, all of size 8.
TEST_CASE("query, key and value whose weights lie together multiply their gradients at once, to the same result", "[ops]") {
  const Reader reader;
  graft::test::for_each_device([&](at::Device device) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      INFO(device.str() << " " << dtype);
      const auto angle = seeded_normal({1, 5, 4}, at::kFloat, 7).to(device);
      const auto cos = angle.cos().to(dtype), sin = angle.sin().to(dtype);
      std::vector<std::vector<at::Tensor>> results;
      for (const bool together : {false, true}) {
        adapted.clear();
        Case c = make_case(device, dtype, false, true, 16, 32, false);
        if (together) {
          const auto memory = at::cat(c.weights);
          int64_t begin = 0;
          for (size_t i = 0; i < 3; begin += c.weights[i].size(0), ++i)
            adapted[i].weight = c.weights[i] = memory.narrow(0, begin, c.weights[i].size(0)).detach();
        }
        const auto y = ops::norm_linears(c.x, c.norm, kEpsilon, {{c.weights[0], {}}, {c.weights[1], {}}, {c.weights[2], {}}});
        REQUIRE(y.at_once == together);
        const auto heads = [&](size_t i) { return y.outputs[i].unflatten(-1, {-1, 8}); };
        const auto turned = together ? ops::rotary_side_by_side({heads(0), heads(1), heads(2)}, cos, sin)
                                     : ops::Heads{ops::rotary(heads(0), cos, sin), ops::rotary(heads(1), cos, sin), heads(2)};
        const auto output = at::cat({turned.query, turned.key, turned.value}, 2);
        torch::autograd::backward({output, y.residual},
                                  {seeded_normal(output.sizes(), at::kFloat, 99).to(device).to(dtype), at::ones_like(y.residual)});
        results.push_back({output.detach()});
        for (const at::Tensor& leaf : c.leaves())
          if (leaf.grad().defined()) results.back().push_back(leaf.grad());
      }
      REQUIRE(at::equal(results[0][0], results[1][0]));
      for (size_t i = 1; i < results[0].size(); ++i)  // one sum of 64 products instead of three that are rounded on the way
        require_close(results[1][i], results[0][i], rounding(dtype, 8 * size_of(results[0][i])));
    }
  });
}

TEST_CASE("a weight that is trained in place falls back to plain operators and gets its gradient", "[ops]") {
  const Reader reader;
  Case c = make_case(at::kCPU, at::kFloat, false, true, 16, 24, true);
  adapted.clear();
  c.weights[1].requires_grad_(true);
  fused_mlp(c).sum().backward();
  REQUIRE(c.weights[1].grad().defined());
  REQUIRE_FALSE(c.weights[0].grad().defined());
}

TEST_CASE("without gradients the fused blocks give the same bits", "[ops]") {
  const Reader reader;
  const Case c = make_case(at::kCPU, at::kFloat, false, true, 16, 24, true);
  const auto with = fused_mlp(c).detach();
  const at::NoGradGuard no_gradients;
  REQUIRE(at::equal(fused_mlp(c), with));
}
