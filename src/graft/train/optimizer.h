#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graft/train/moments.h"

namespace graft::train {

/// AdamW (Loshchilov & Hutter 2019) over a flat list of parameters, torch.optim.AdamW's maths (in 8 bits bitsandbytes':
/// the decay comes last), with moments kept by a MomentStore:
///
///   m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  p ← p − lr·λ·p − lr·(m/(1−β₁ᵏ)) / (√(v/(1−β₂ᵏ)) + ε)
///
/// Moments have the dtype of what is updated (float32 with masters), or 8 bits (MomentFormat). Parameters without a gradient in a step are
/// left alone, but the step count k is the run's, the same for all.
class AdamW {
 public:
  /// DataError unless each is contiguous and floating-point; UsageError when one does not require a gradient.
  AdamW(NamedTensors parameters, AdamWOptions options);

  /// One update from the parameters' .grad. `skip`, a float32 scalar on the device: 1 leaves everything as it is (a step that is not
  /// finite), decided without asking the device.
  void step(double learning_rate, const at::Tensor& skip = {});
  void zero_gradients();

  int64_t steps_done() const { return steps_done_; }
  const NamedTensors& parameters() const { return parameters_; }
  std::vector<at::Tensor> gradients() const;

  /// State as named tensors: "step", what MomentStore::state names and, for parameters with a master, "master.NAME".
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
    bool has_master = false;
    size_t store = 0, index = 0;  // where its moments are
  };
  struct Store {
    std::unique_ptr<MomentStore> moments;
    size_t count = 0;
  };
  size_t store_for(const at::Tensor& updated);
  NamedTensors parameters_;
  AdamWOptions options_;
  std::vector<Slot> slots_;
  std::vector<Store> stores_;  // full, and int8 when asked for
  int64_t steps_done_ = 0;
};

}  // namespace graft::train
