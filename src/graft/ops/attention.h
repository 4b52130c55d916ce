#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "graft/ops/documents.h"

namespace graft::ops {

/// Causal self-attention with grouped queries, each document by itself:
///
///   y_q = Σ_k softmax_k(scale q·k) v_k   over keys k of q's document with q − window < k ≤ q   (window 0: all k ≤ q)
///
/// query       [rows, length, heads, size]
/// key, value  [rows, length, key_value_heads, size]; query head h reads key head h / (heads / key_value_heads)
/// documents   of the same rows and length
/// → [rows, length, heads, size], the query's dtype, contiguous. Padding gives zeros on the CPU and finite values elsewhere.
///
/// Softmax in float32. The cost is Σ length² over documents (length × window when windowed) on the CPU and, in bfloat16 and float16 with
/// heads of a multiple of 8 up to 256, on a GPU; other packed or windowed rows build a mask of length × length there. Nothing of that size
/// is kept for backward. On the CPU a document's result does not depend on what shares its row or batch.
at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Documents& documents, double scale,
                     int64_t window = 0);

/// Attention of the last `length` positions of one sequence per row to all `past + length` of them, for generation.
/// query [rows, length, heads, size]; key, value [rows, past + length, key_value_heads, size]. No gradient.
at::Tensor attention_with_past(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, double scale, int64_t window = 0);

}  // namespace graft::ops
