#pragma once

#include <string>
#include <vector>

#include "graft/adapters/adapter.h"

/// What files hold of an adapter whose start was taken out of the base (weight_start.h). Its product belongs to the changed base; what it
/// learned, s·(B·A − B₀·A₀), belongs to the original one and is a LoRA of twice the rank:
///
///   A' = [A; A₀]   B' = [B, −B₀]   r' = 2·r   alpha' = 2·alpha, or √2·alpha with rslora: the same scale
///
/// PEFT's path_initial_model_for_weight_conversion writes the same. Nothing is computed, so that A, B, A₀ and B₀ come back bit for bit.
/// Exact on a dense base. Where the base was quantized after the start was taken out, the original weight lacks that rounding (as a plain
/// LoRA trained on a quantized base does on the dense one).
namespace graft::detail {

/// adapter_config.json's content: the adapter's own, or with twice the rank.
io::AdapterConfig portable_config(const Adapter& adapter);

/// A shape [r, n] of A or [n, r] of B as it is in the file, for an adapter with a start.
std::vector<int64_t> portable_shape(const std::string& key, at::IntArrayRef shape);
/// The second half of a tensor in a file: A₀ or B₀.
at::Tensor start_in_file(const std::string& key, const at::Tensor& in_file);

/// One tensor as it is in the file, and back. DataError (with the key) when the file's start is not the adapter's: its base is another one.
std::vector<int64_t> file_shape(const TrainedTensor& tensor);
at::Tensor file_value(const TrainedTensor& tensor);
void assign_from_file(const TrainedTensor& tensor, const at::Tensor& in_file);

}  // namespace graft::detail
