#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "graft/data/batch.h"

namespace graft::train {

/// One micro-batch as tensors, ready for a model.
struct DeviceBatch {
  at::Tensor ids;              ///< int64 [rows, length]
  at::Tensor targets;          ///< int64 [rows, length]: the token to predict at each position (labels moved left by one), -100: none
  at::Tensor position_ids;     ///< int64 [rows, length], restarting at 0 in each document
  at::Tensor document_ids;     ///< int32 [rows, length] on the CPU (attention is planned on the host); -1 = padding
  at::Tensor supervised_rows;  ///< int64 [supervised_tokens]: positions of [rows·length] with a target, ascending
  int64_t tokens = 0;          ///< positions that are not padding
  int64_t supervised_tokens = 0;
  bool training = true;  ///< false in an evaluation
};

/// Copies a collated batch to the device without waiting for it. A label at a row's first position never counts (interface: as in
/// transformers). DataError when the batch's lists have the wrong sizes, or, in training, when its supervised_tokens is not what its labels
/// say.
DeviceBatch to_device(const data::Batch& batch, at::Device device, bool training = true);

}  // namespace graft::train
