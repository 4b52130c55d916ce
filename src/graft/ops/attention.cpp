#include "graft/ops/attention.h"

#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "graft/base/error.h"
#include "graft/ops/attention_cpu.h"

namespace graft::ops {
namespace {

void check(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value) {
  if (query.dim() != 4 || key.dim() != 4 || key.sizes() != value.sizes() || query.size(2) % key.size(2) != 0 ||
      query.size(3) != key.size(3)) {
    throw InternalError("attention: query, key and value do not fit together");
  }
}

/// Keys of each group repeated for its queries: [rows, heads, length, size]. Kernels that take a mask know no grouped queries.
at::Tensor repeat_heads(const at::Tensor& tensor, int64_t group_size) {
  const auto by_head = tensor.transpose(1, 2);
  return group_size == 1 ? by_head : by_head.unsqueeze(2).expand({-1, -1, group_size, -1, -1}).flatten(1, 2);
}

/// Whether LibTorch's flash kernel for sequences of mixed length takes these heads.
bool has_flash_kernel(const at::Tensor& query) {
  const auto dtype = query.scalar_type();
  return query.is_cuda() && (dtype == at::kBFloat16 || dtype == at::kHalf) && query.size(3) % 8 == 0 && query.size(3) <= 256;
}

/// All rows laid end to end; each stretch by itself, without a mask (FlashAttention-2, arXiv:2307.08691).
at::Tensor by_stretches(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Documents& documents, double scale,
                        int64_t window) {
  const auto& [starts, longest] = documents.stretches(query.device());
  const auto before = window > 0 ? std::optional<int64_t>(window - 1) : std::nullopt;
  const auto after = window > 0 ? std::optional<int64_t>(0) : std::nullopt;
  const auto output =
      at::_flash_attention_forward(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), starts, starts, longest, longest,
                                   /*dropout_p=*/0.0, /*is_causal=*/true, /*return_debug_mask=*/false, scale, before, after);
  return std::get<0>(output).view(query.sizes());
}

at::Tensor generic(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Documents& documents, double scale,
                   int64_t window) {
  const bool masked = !documents.one_per_row() || (window > 0 && window < documents.length());
  const int64_t group_size = query.size(2) / key.size(2);
  if (masked && has_flash_kernel(query)) return by_stretches(query, key, value, documents, scale, window);
  at::Tensor output;
  if (masked) {
    output = at::scaled_dot_product_attention(query.transpose(1, 2), repeat_heads(key, group_size), repeat_heads(value, group_size),
                                              documents.mask(window, query.device()), 0.0, /*is_causal=*/false, scale);
  } else if (query.scalar_type() == at::kFloat) {
    // No fused kernel takes float32 with grouped queries: LibTorch would build the length x length matrix.
    output =
        at::scaled_dot_product_attention(query.transpose(1, 2), repeat_heads(key, group_size), repeat_heads(value, group_size), {}, 0.0,
                                         /*is_causal=*/true, scale);
  } else {
    output = at::scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), {}, 0.0,
                                              /*is_causal=*/true, scale, /*enable_gqa=*/group_size > 1);
  }
  return output.transpose(1, 2).contiguous();
}

}  // namespace

at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Documents& documents, double scale,
                     int64_t window) {
  check(query, key, value);
  if (documents.rows() != query.size(0) || documents.length() != query.size(1))
    throw InternalError("attention: documents of another batch");
  return query.is_cpu() ? cpu::attention(query, key, value, documents, scale, window)
                        : generic(query, key, value, documents, scale, window);
}

at::Tensor attention_with_past(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, double scale, int64_t window) {
  check(query, key, value);
  const int64_t length = query.size(1), total = key.size(1), first = window > 0 ? std::max<int64_t>(0, total - length + 1 - window) : 0;
  const int64_t group_size = query.size(2) / key.size(2);
  const auto keys = key.narrow(1, first, total - first), values = value.narrow(1, first, total - first);
  if (length == 1) {  // the queries of a group are positions of one head: nothing is repeated and nothing is masked
    const auto grouped = query.unflatten(2, {key.size(2), group_size}).squeeze(1);
    return at::scaled_dot_product_attention(grouped, keys.transpose(1, 2), values.transpose(1, 2), {}, 0.0, false, scale)
        .flatten(1, 2)
        .unsqueeze(1);
  }
  const auto options = at::TensorOptions(at::kLong).device(query.device());
  const auto position = at::arange(total - length, total, options).unsqueeze(1), past = at::arange(first, total, options).unsqueeze(0);
  auto visible = past.le(position);
  if (window > 0) visible.logical_and_(past.gt(position - window));
  return at::scaled_dot_product_attention(query.transpose(1, 2), repeat_heads(keys, group_size), repeat_heads(values, group_size), visible,
                                          0.0, false, scale)
      .transpose(1, 2);
}

}  // namespace graft::ops
