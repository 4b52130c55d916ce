#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace graft::train {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// How AdamW keeps its running averages.
enum class MomentFormat {
  kFull,  ///< in the dtype of what is updated: 8 bytes for a float32 parameter
  kInt8,  ///< bitsandbytes' 8 bits in blocks of 256, 2.03 bytes; tensors under 4096 entries, and float64 ones, as kFull
};

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  ///< decoupled: p ← p − lr·weight_decay·p, on every parameter given
  /// Keep a float32 copy of each parameter of lower precision, update that and round once into the parameter. 4 bytes more per
  /// parameter (16 in all: copy, two moments, and the gradient in float32 during the step); without it updates below the
  /// parameter's own rounding are lost. Nothing for float32 parameters.
  bool float32_masters = true;
  MomentFormat moments = MomentFormat::kFull;
};

/// One step, whatever the parameter.
struct AdamWStep {
  double learning_rate = 0;
  int64_t number = 0;  ///< from 1
  at::Tensor skip;     ///< float32 scalar: 1 leaves everything as it is; undefined: 0
};

/// The running averages of a list of tensors in one format, and AdamW's update, which alone reads and writes them.
class MomentStore {
 public:
  virtual ~MomentStore() = default;
  /// Zero averages for a tensor that steps will update in place. The n-th call makes index n.
  virtual void add(const at::Tensor& updated) = 0;
  /// One update of each tensor that has a gradient: gradients[index], in any dtype, or undefined.
  virtual void step(const std::vector<at::Tensor>& gradients, const AdamWOptions& options, const AdamWStep& step) = 0;
  /// What must survive a restart: the store's own tensors, named after the parameter.
  virtual NamedTensors state(size_t index, const std::string& name) const = 0;
};

/// Averages of the tensor's own dtype, updated by LibTorch's fused AdamW, one call per dtype and device. State: "exp_avg.NAME",
/// "exp_avg_sq.NAME".
class FullMoments final : public MomentStore {
 public:
  void add(const at::Tensor& updated) override;
  void step(const std::vector<at::Tensor>& gradients, const AdamWOptions& options, const AdamWStep& step) override;
  NamedTensors state(size_t index, const std::string& name) const override;

 private:
  struct Averages {
    at::Tensor updated, mean, square;
  };
  std::vector<Averages> all_;
};

}  // namespace graft::train
