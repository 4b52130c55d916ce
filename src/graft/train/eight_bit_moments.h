#pragma once

#include "graft/quant/eight_bit_adam.h"
#include "graft/train/moments.h"

namespace graft::train {

/// Averages in bitsandbytes' blockwise 8-bit form (quant/eight_bit_adam.h), updated in float32; a tensor of lower precision is read into
/// float32 and rounded back once a step. State: "exp_avg.NAME" and "exp_avg_sq.NAME" uint8, "exp_avg_absmax.NAME" and
/// "exp_avg_sq_absmax.NAME" float32.
class EightBitMomentStore final : public MomentStore {
 public:
  /// Whether a tensor's averages are worth 8 bits: 4096 entries or more, bitsandbytes' min_8bit_size. Not for float64.
  static bool suits(const at::Tensor& updated);

  void add(const at::Tensor& updated) override;
  void step(const std::vector<at::Tensor>& gradients, const AdamWOptions& options, const AdamWStep& step) override;
  NamedTensors state(size_t index, const std::string& name) const override;

 private:
  struct Averages {
    at::Tensor updated;
    quant::EightBitMoments moments;
  };
  std::vector<Averages> all_;
};

}  // namespace graft::train
