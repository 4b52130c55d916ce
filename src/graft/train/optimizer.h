#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace graft::train {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  ///< decoupled: p ← p − lr·weight_decay·p, on every parameter given
  /// Keep a float32 copy of each parameter of lower precision, update that and round once into the parameter. 4 bytes more per
  /// parameter (16 in all: copy, two moments, and the gradient in float32 during the step); without it updates below the
  /// parameter's own rounding are lost. Nothing for float32 parameters.
  bool float32_masters = true;
};

/// AdamW (Loshchilov & Hutter 2019) over a flat list of parameters, torch.optim.AdamW's maths, one fused kernel per dtype:
///
///   m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  p ← p − lr·λ·p − lr·(m/(1−β₁ᵏ)) / (√(v/(1−β₂ᵏ)) + ε)
///
/// Moments have the dtype of what is updated (float32 with masters). Parameters without a gradient in a step are left alone, but the
/// step count k is the run's, the same for all.
class AdamW {
 public:
  AdamW(NamedTensors parameters, AdamWOptions options);

  /// One update from the parameters' .grad. `skip`, a float32 scalar on the device: 1 leaves everything as it is (a step that is not
  /// finite), decided without asking the device.
  void step(double learning_rate, const at::Tensor& skip = {});
  void zero_gradients();

  int64_t steps_done() const { return steps_done_; }
  const NamedTensors& parameters() const { return parameters_; }
  std::vector<at::Tensor> gradients() const;

  /// State as named tensors: "step", "exp_avg.NAME", "exp_avg_sq.NAME" and, for parameters with a master, "master.NAME".
  NamedTensors state() const;
  /// Copies a state in. DataError naming the tensor when one is missing, left over or of another shape or dtype.
  void load_state(const NamedTensors& state, const std::string& origin);
  /// Takes the masters from the parameters again: after weights were loaded without a state.
  void refresh_masters();

  /// Bytes of moments and masters.
  int64_t state_bytes() const;

 private:
  struct Slot {
    at::Tensor updated;  // the master, or the parameter itself
    at::Tensor exp_avg, exp_avg_sq;
    bool has_master = false;
  };
  NamedTensors parameters_;
  AdamWOptions options_;
  std::vector<Slot> slots_;
  int64_t steps_done_ = 0;
};

}  // namespace graft::train
