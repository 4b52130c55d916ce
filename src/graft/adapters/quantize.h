#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graft/ops/frozen_weight.h"
#include "graft/quant/four_bit.h"

namespace graft {

/// How a model's Linear weights are stored: a format, and which are left as they are.
class LinearFormat {
 public:
  virtual ~LinearFormat() = default;
  /// Patterns of modules left dense, with all that is inside them.
  const std::vector<std::string>& skip() const { return skip_; }

  /// UsageError when an option has no meaning.
  virtual void check() const {}
  /// What a weight takes, scales counted.
  virtual double bytes_per_weight() const = 0;
  /// The form in which a matrix [out, in] is kept, and the bytes it takes with its scales. DataError that names `name` when an entry is NaN
  /// or infinite.
  struct Stored {
    std::shared_ptr<ops::FrozenWeight> weight;
    int64_t bytes = 0;
  };
  virtual Stored store(const at::Tensor& dense, const std::string& name) const = 0;

 protected:
  std::vector<std::string> skip_;
};

/// 4 bits a weight, as bitsandbytes stores them. Chainable: Nf4Options().double_quant(true).skip({"head"}).
class FourBitLinears : public LinearFormat {
 public:
  explicit FourBitLinears(quant::FourBitType type) { options_.type = type; }

  /// Block maxima in 8 bits as well: saves 0.37 bit a weight. Default off.
  FourBitLinears& double_quant(bool on) { return options_.double_quant = on, *this; }
  /// Weights that share one maximum: 32, 64 (default), … 4096.
  FourBitLinears& block(int64_t weights) { return options_.block = weights, *this; }
  /// Leaf names ("lm_head"), globs over the full path ("*.mlp.*"), "regex:…".
  FourBitLinears& skip(std::vector<std::string> patterns) { return skip_ = std::move(patterns), *this; }

  using LinearFormat::skip;
  const quant::FourBitOptions& options() const { return options_; }
  void check() const override;
  double bytes_per_weight() const override;
  Stored store(const at::Tensor& dense, const std::string& name) const override;

 private:
  quant::FourBitOptions options_;
};

/// QLoRA's format: quantiles of a normal distribution.
class Nf4Options : public FourBitLinears {
 public:
  Nf4Options() : FourBitLinears(quant::FourBitType::kNf4) {}
};

/// Four-bit floating point.
class Fp4Options : public FourBitLinears {
 public:
  Fp4Options() : FourBitLinears(quant::FourBitType::kFp4) {}
};

/// 8-bit floating point (E4M3) with one scale an output row: half of bf16's memory, and products that run on the 8-bit numbers themselves
/// on GPUs with units for them (see quant/fp8_weight.h). Chainable.
class Fp8Options : public LinearFormat {
 public:
  /// As FourBitLinears::skip.
  Fp8Options& skip(std::vector<std::string> patterns) { return skip_ = std::move(patterns), *this; }
  using LinearFormat::skip;
  double bytes_per_weight() const override { return 1; }  // the scale is shared by a whole row
  Stored store(const at::Tensor& dense, const std::string& name) const override;
};

/// What quantize() did.
struct QuantizeReport {
  int64_t modules = 0;            ///< Linear weights now quantized
  int64_t bytes_before = 0;       ///< of those weights
  int64_t bytes_after = 0;        ///< scales included
  std::vector<std::string> left;  ///< paths of Linears left dense, each with its reason
};

/// Stores the weights of a model's Linear modules in a smaller format, in place, on whatever device they are; biases, norms, embeddings and
/// everything else stay. Adapters may be attached before or after: those there already keep their A and B, and see the rounded base (one
/// that started with "pissa": what its start left of the base, rounded, which is QPiSSA). The quantized weights are frozen;
/// AdapterSet::merge() refuses them. Not quantized, with a reason in the report: what skip names, a weight
/// that two modules share (tied), a weight an adapter trains in full, a causal language model's output head (graft's own decoder), a weight
/// that is quantized already. UsageError, and nothing changed: a skip pattern that matches nothing, no Linear left, a block that is no
/// power of two from 32 to 4096. DataError: a weight that is not finite (those before it are quantized by then).
QuantizeReport quantize(torch::nn::Module& model, const LinearFormat& how = Nf4Options());

namespace detail {

/// Whether one of the patterns names the module or a module around it.
bool skips(const std::vector<std::string>& patterns, const std::string& path);

}  // namespace detail
}  // namespace graft
