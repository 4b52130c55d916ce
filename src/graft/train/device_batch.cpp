#include "graft/train/device_batch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "graft/base/error.h"

namespace graft::train {
namespace {

/// A host tensor of the values; pinned when it goes to a GPU, so that the copy need not be waited for.
at::Tensor upload(const std::vector<int64_t>& values, at::IntArrayRef shape, at::Device device) {
  const auto host = at::empty(shape, at::TensorOptions(at::kLong).pinned_memory(device.is_cuda()));
  std::copy(values.begin(), values.end(), host.data_ptr<int64_t>());
  return host.to(device, /*non_blocking=*/true);
}

std::vector<int64_t> widen(const std::vector<int32_t>& values) { return {values.begin(), values.end()}; }

}  // namespace

DeviceBatch to_device(const data::Batch& batch, at::Device device, bool training) {
  const auto size = static_cast<size_t>(batch.rows * batch.length);
  for (const auto* list : {&batch.ids, &batch.labels, &batch.position_ids, &batch.document_ids})
    if (list->size() != size)
      throw DataError("a batch of " + std::to_string(batch.rows) + " rows x " + std::to_string(batch.length) + " has a list of " +
                      std::to_string(list->size()) + " entries");
  std::vector<int64_t> targets(size, -100), supervised;
  for (size_t row = 0; row < static_cast<size_t>(batch.rows); ++row) {
    const size_t begin = row * static_cast<size_t>(batch.length), end = begin + static_cast<size_t>(batch.length);
    for (size_t i = begin; i + 1 < end; ++i) {
      targets[i] = batch.labels[i + 1];
      if (targets[i] != -100) supervised.push_back(static_cast<int64_t>(i));
    }
  }
  // A step's loss is divided by the number that its batches give; an evaluation counts for itself.
  if (training && batch.supervised_tokens != static_cast<int64_t>(supervised.size()))
    throw DataError("a batch says that it has " + std::to_string(batch.supervised_tokens) + " supervised tokens, and has " +
                    std::to_string(supervised.size()))
        .hint("set Batch::supervised_tokens to the number of labels other than -100; a label at a row's first position does not count");
  const std::vector<int64_t> shape{batch.rows, batch.length};
  DeviceBatch result;
  result.ids = upload(widen(batch.ids), shape, device);
  result.targets = upload(targets, shape, device);
  result.position_ids = upload(widen(batch.position_ids), shape, device);
  result.document_ids = at::empty(shape, at::kInt);
  std::copy(batch.document_ids.begin(), batch.document_ids.end(), result.document_ids.data_ptr<int32_t>());
  result.tokens = batch.tokens;
  result.supervised_tokens = static_cast<int64_t>(supervised.size());
  result.supervised_rows = upload(supervised, {result.supervised_tokens}, device);
  result.training = training;
  return result;
}

}  // namespace graft::train
