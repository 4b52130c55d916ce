#pragma once

#include <ATen/core/Tensor.h>

#include "graft/quant/adam_rule.h"

namespace graft::quant {

/// AdamW's running averages of one tensor in bitsandbytes' blockwise 8-bit form (Dettmers et al. 2022, arXiv:2110.02861). For n numbers, in
/// blocks of 256: average = map[code] · maximum of its block, with the signed dynamic map for the mean and the unsigned one for the square.
struct EightBitMoments {
  at::Tensor mean, square;                ///< uint8, the tensor's shape
  at::Tensor mean_absmax, square_absmax;  ///< float32 [ceil(n / 256)]
};

/// Both averages zero, on the tensor's device.
EightBitMoments zero_moments(const at::Tensor& like);

/// The averages in float32, in the tensor's shape.
at::Tensor decoded_mean(const EightBitMoments& moments);
at::Tensor decoded_square(const EightBitMoments& moments);

AdamRule adam_rule(double learning_rate, double beta1, double beta2, double epsilon, double weight_decay, int64_t step);

/// One step in place: parameter and gradient float32, contiguous, on the moments' device. As bitsandbytes does it: a gradient that is not
/// finite leaves its parameter as it is and begins its averages anew at zero; a mean that is not zero keeps its sign. `skip`: a float32
/// scalar; 1 leaves everything as it is. The same bits on every device.
void eight_bit_adamw(const at::Tensor& parameter, const at::Tensor& gradient, const EightBitMoments& moments, const AdamRule& rule,
                     const at::Tensor& skip = {});

}  // namespace graft::quant
