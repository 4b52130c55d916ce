#include "graft/ops/documents.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <string>

#include "graft/base/error.h"

namespace graft::ops {
namespace {

void add_row(const int32_t* ids, int64_t row, int64_t length, std::vector<Document>* documents) {
  int32_t expected = 0;
  for (int64_t begin = 0; begin < length;) {
    int64_t end = begin + 1;
    while (end < length && ids[end] == ids[begin]) ++end;
    if (ids[begin] >= 0) {
      if (ids[begin] < expected) {
        throw DataError("document_ids must not decrease within a row")
            .at("row " + std::to_string(row) + ", position " + std::to_string(begin));
      }
      expected = ids[begin] + 1;
      documents->push_back({row, begin, end - begin});
    }
    begin = end;
  }
}

/// int32 [rows, length] on the CPU: which document each position is in, -1 = padding.
at::Tensor ids_of(const std::vector<Document>& documents, int64_t rows, int64_t length) {
  auto ids = at::empty({rows, length}, at::kInt).fill_(-1);
  int32_t number = 0;
  for (const auto& document : documents) ids[document.row].narrow(0, document.begin, document.length).fill_(number++);
  return ids;
}

/// Begins of all documents and runs of padding, and the end of the last row. `documents` lie in order.
std::vector<int32_t> starts_of(const std::vector<Document>& documents, int64_t rows, int64_t length) {
  std::vector<int32_t> starts;
  const auto begin_at = [&](int64_t position) {
    if (starts.empty() || starts.back() != position) starts.push_back(static_cast<int32_t>(position));
  };
  auto document = documents.begin();
  for (int64_t row = 0; row < rows; ++row) {
    begin_at(row * length);
    for (; document != documents.end() && document->row == row; ++document) {
      begin_at(row * length + document->begin);
      begin_at(row * length + document->begin + document->length);
    }
  }
  begin_at(rows * length);
  return starts;
}

}  // namespace

Documents Documents::whole_rows(int64_t rows, int64_t length) {
  Documents result;
  result.rows_ = rows;
  result.length_ = length;
  if (length > 0) {
    for (int64_t row = 0; row < rows; ++row) result.list_.push_back({row, 0, length});
  }
  return result;
}

Documents Documents::from_ids(const at::Tensor& document_ids) {
  if (document_ids.dim() != 2) throw InternalError("document_ids must be [rows, length]");
  const auto host = document_ids.to(at::kCPU, at::kInt).contiguous();
  Documents result;
  result.rows_ = host.size(0);
  result.length_ = host.size(1);
  int64_t covered = 0;
  for (int64_t row = 0; row < result.rows_; ++row) {
    const size_t before = result.list_.size();
    add_row(host.const_data_ptr<int32_t>() + row * result.length_, row, result.length_, &result.list_);
    const size_t count = result.list_.size() - before;
    if (count > 1 || (count == 1 && result.list_.back().begin != 0)) result.one_per_row_ = false;
    for (size_t i = before; i < result.list_.size(); ++i) covered += result.list_[i].length;
  }
  result.has_padding_ = covered != result.rows_ * result.length_;
  return result;
}

at::Tensor Documents::position_ids() const {
  if (one_per_row_) return {};
  auto positions = at::zeros({rows_, length_}, at::kLong);
  for (const auto& document : list_) {
    positions[document.row].narrow(0, document.begin, document.length).copy_(at::arange(document.length, at::kLong));
  }
  return positions;
}

const Documents::Stretches& Documents::stretches(at::Device device) const {
  if (stretches_.starts.defined() && stretches_.starts.device() == device) return stretches_;
  if (one_per_row_ && !has_padding_ &&
      length_ > 0) {  // made on the device: a CUDA graph may record it, and must not remember a host buffer
    stretches_ = {at::arange(0, (rows_ + 1) * length_, length_, at::TensorOptions(at::kInt).device(device)), length_};
    return stretches_;
  }
  const auto starts = starts_of(list_, rows_, length_);
  const auto host = at::empty({static_cast<int64_t>(starts.size())}, at::TensorOptions(at::kInt).pinned_memory(device.is_cuda()));
  std::copy(starts.begin(), starts.end(), host.data_ptr<int32_t>());
  int64_t longest = 0;
  for (size_t i = 1; i < starts.size(); ++i) longest = std::max<int64_t>(longest, starts[i] - starts[i - 1]);
  stretches_ = {host.to(device, /*non_blocking=*/true), longest};
  return stretches_;
}

const at::Tensor& Documents::mask(int64_t window, at::Device device) const {
  auto& mask = masks_[window];
  if (mask.defined() && mask.device() == device) return mask;
  const auto position = at::arange(length_, at::TensorOptions(at::kLong).device(device));
  const auto query = position.unsqueeze(1), key = position.unsqueeze(0);
  auto visible = key.le(query);
  if (window > 0) visible.logical_and_(key.gt(query - window));
  visible = visible.unsqueeze(0).unsqueeze(0);
  if (!one_per_row_) {
    const auto ids = ids_of(list_, rows_, length_).to(device);
    auto same = ids.unsqueeze(2).eq(ids.unsqueeze(1)).logical_and_(ids.ge(0).unsqueeze(2));
    same.logical_or_(query.eq(key));  // a row of the mask without any key would be 0/0
    visible = visible.logical_and(same.unsqueeze(1));
  }
  mask = visible;
  return mask;
}

}  // namespace graft::ops
