#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <vector>

namespace graft::ops {

/// Positions [begin, begin + length) of one row that see each other and nothing else.
struct Document {
  int64_t row, begin, length;
};

/// How a batch [rows, length] is cut into documents; what lies outside of them is padding. Made once per forward on the host, so
/// that no layer has to ask the device. Not thread-safe (masks and stretches are made on first use).
class Documents {
 public:
  /// Every row is one document and nothing is padding.
  static Documents whole_rows(int64_t rows, int64_t length);
  /// From document_ids int32 or int64 [rows, length]: 0, 1, … in each document, -1 = padding. A device tensor is copied to the
  /// host (one synchronisation). DataError when a document is not one contiguous run.
  static Documents from_ids(const at::Tensor& document_ids);

  int64_t rows() const { return rows_; }
  int64_t length() const { return length_; }
  const std::vector<Document>& list() const { return list_; }
  /// True when no row holds more than one document and each begins at 0: then causal attention needs no document mask.
  bool one_per_row() const { return one_per_row_; }
  bool has_padding() const { return has_padding_; }
  /// int64 [rows, length], restarting at 0 in each document (0 in padding); undefined when that is 0 … length-1 in every row.
  at::Tensor position_ids() const;
  /// Where one stretch ends and the next begins, over the rows laid end to end: a stretch is a document or a run of padding. What
  /// kernels for sequences of mixed length take; kept for the next layer.
  struct Stretches {
    at::Tensor starts;    ///< int32 [stretches + 1] on the device, from 0 to rows·length
    int64_t longest = 0;  ///< positions
  };
  const Stretches& stretches(at::Device device) const;
  /// bool [rows or 1, 1, length, length], true = may look; kept for the next layer. `window` 0: no limit.
  /// Padding sees itself only.
  const at::Tensor& mask(int64_t window, at::Device device) const;

 private:
  int64_t rows_ = 0, length_ = 0;
  std::vector<Document> list_;
  bool one_per_row_ = true, has_padding_ = false;
  mutable std::map<int64_t, at::Tensor> masks_;
  mutable Stretches stretches_;
};

}  // namespace graft::ops
