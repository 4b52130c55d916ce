#include "graft/ops/attention_cpu.h"

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>
#include <vector>

namespace graft::ops::cpu {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Queries of one document that one kernel call handles, and the keys they can see. No mask: plain causal, same range.
struct Piece {
  int64_t row, query_begin, query_length, key_begin, key_length;
  at::Tensor mask;  // additive [query_length, key_length], or undefined
};

/// Queries per piece of a windowed document: each piece reads window + this many keys.
constexpr int64_t kWindowBlock = 512;

/// Additive mask of `queries` positions that start `offset` after the first of `keys`.
at::Tensor window_mask(int64_t queries, int64_t keys, int64_t offset, int64_t window, at::ScalarType dtype) {
  const auto query = at::arange(offset, offset + queries, at::kLong).unsqueeze(1);
  const auto key = at::arange(keys, at::kLong).unsqueeze(0);
  const auto hidden = key.gt(query).logical_or_(key.le(query - window));
  return at::zeros({queries, keys}, dtype).masked_fill_(hidden, -std::numeric_limits<float>::infinity());
}

std::vector<Piece> cut(const Documents& documents, int64_t window, at::ScalarType dtype) {
  std::vector<Piece> pieces;
  std::map<std::vector<int64_t>, at::Tensor> masks;  // equal pieces share one
  for (const auto& document : documents.list()) {
    const int64_t unlimited = window > 0 ? std::min(window, document.length) : document.length;
    pieces.push_back({document.row, document.begin, unlimited, document.begin, unlimited, {}});
    for (int64_t first = unlimited; first < document.length; first += kWindowBlock) {
      const int64_t queries = std::min(kWindowBlock, document.length - first);
      const int64_t key_first = first - window + 1;
      const int64_t keys = first + queries - key_first;
      auto& mask = masks[{queries, keys}];
      if (!mask.defined()) mask = window_mask(queries, keys, first - key_first, window, dtype);
      pieces.push_back({document.row, document.begin + first, queries, document.begin + key_first, keys, mask});
    }
  }
  return pieces;
}

/// [rows, length, heads, size] → the piece's [key_value_heads, group, positions, size], a view; a group of keys is one head, repeated.
at::Tensor queries_of(const at::Tensor& tensor, const Piece& piece, int64_t groups) {
  return tensor[piece.row].narrow(0, piece.query_begin, piece.query_length).unflatten(1, {groups, -1}).permute({1, 2, 0, 3});
}
at::Tensor keys_of(const at::Tensor& tensor, const Piece& piece, int64_t group_size) {
  return tensor[piece.row].narrow(0, piece.key_begin, piece.key_length).permute({1, 0, 2}).unsqueeze(1).expand({-1, group_size, -1, -1});
}

std::optional<at::Tensor> optional_mask(const Piece& piece) {
  return piece.mask.defined() ? std::optional<at::Tensor>(piece.mask) : std::nullopt;
}

struct Attention : torch::autograd::Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                            const Documents& documents, double scale, int64_t window) {
    const int64_t groups = key.size(2), group_size = query.size(2) / groups;
    auto output = documents.has_padding() ? at::zeros(query.sizes(), query.options()) : at::empty(query.sizes(), query.options());
    variable_list saved{query, key, value, output};
    auto work = std::make_shared<Work>();
    work->pieces = cut(documents, window, query.scalar_type());
    work->scale = scale;
    for (const auto& piece : work->pieces) {
      auto [out, log_sum] = at::_scaled_dot_product_flash_attention_for_cpu(
          queries_of(query, piece, groups), keys_of(key, piece, group_size), keys_of(value, piece, group_size), 0.0, !piece.mask.defined(),
          optional_mask(piece), scale);
      queries_of(output, piece, groups).copy_(out);
      saved.push_back(log_sum);
    }
    context->save_for_backward(saved);
    context->saved_data["work"] = c10::IValue::make_capsule(c10::make_intrusive<Capsule>(std::move(work)));
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &query = saved[0], &key = saved[1], &value = saved[2], &output = saved[3];
    const int64_t groups = key.size(2), group_size = query.size(2) / groups;
    const auto work = c10::static_intrusive_pointer_cast<Capsule>(context->saved_data["work"].toCapsule())->work;
    const auto gradient = gradients[0].contiguous();
    auto query_gradient = at::zeros(query.sizes(), query.options());
    auto key_gradient = at::zeros(key.sizes(), key.options()), value_gradient = at::zeros(value.sizes(), value.options());
    for (size_t i = 0; i < work->pieces.size(); ++i) {
      const auto& piece = work->pieces[i];
      auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          queries_of(gradient, piece, groups), queries_of(query, piece, groups), keys_of(key, piece, group_size),
          keys_of(value, piece, group_size), queries_of(output, piece, groups), saved[4 + i], 0.0, !piece.mask.defined(),
          optional_mask(piece), work->scale);
      queries_of(query_gradient, piece, groups).copy_(dq);
      keys_of(key_gradient, piece, 1).squeeze(1).add_(dk.sum(1));
      keys_of(value_gradient, piece, 1).squeeze(1).add_(dv.sum(1));
    }
    return {query_gradient, key_gradient, value_gradient, at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  struct Work {
    std::vector<Piece> pieces;
    double scale = 1;
  };
  struct Capsule : torch::CustomClassHolder {
    explicit Capsule(std::shared_ptr<Work> held) : work(std::move(held)) {}
    std::shared_ptr<Work> work;
  };
};

}  // namespace

at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Documents& documents, double scale,
                     int64_t window) {
  return Attention::apply(query, key, value, documents, scale, window);
}

}  // namespace graft::ops::cpu
