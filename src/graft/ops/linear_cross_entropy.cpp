#include "graft/ops/linear_cross_entropy.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "graft/base/error.h"
#include "graft/ops/cuda_kernels.h"
#include "graft/ops/linear_operand.h"
#include "graft/ops/products.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Travels through Function::apply without being tracked.
struct Projection {
  at::Tensor weight, targets, rows;  // targets and rows: [M], the supervised ones
  at::Tensor correct;                // int64 scalar that right predictions are added to; undefined: not counted
  int64_t chunk = 0;
  bool gradient = false;  // whether backward will be asked for
};

/// −log p of each row's target, from log-probabilities [n, V].
at::Tensor negative_log_likelihood(const at::Tensor& log_probabilities, const at::Tensor& targets) {
  return log_probabilities.gather(1, targets.unsqueeze(1)).squeeze(1).neg();
}

/// d loss / d logits = softmax − one-hot, in place of the probabilities.
void subtract_one_hot(at::Tensor& probabilities, const at::Tensor& targets) {
  const auto index = targets.unsqueeze(1);
  probabilities.scatter_(1, index, probabilities.gather(1, index) - 1);
}

void count_correct(const Projection& projection, const at::Tensor& logits, const at::Tensor& targets) {
  if (projection.correct.defined()) projection.correct.add_(logits.argmax(1).eq(targets).sum());
}

/// Gradient of the selected rows [M, width] put back to where they came from [N, width].
at::Tensor scatter_rows(const at::Tensor& selected, const at::Tensor& rows, int64_t count) {
  if (rows.size(0) == count) return selected;
  return at::zeros({count, selected.size(1)}, selected.options()).index_copy_(0, rows, selected);
}

/// Softmax and cross-entropy over a chunk of logits.
class Softmax {
 public:
  Softmax(const Projection& projection, const at::Tensor& buffer) : projection_(projection), kernels_(cuda_kernels_for(buffer)) {
    if (kernels_ == nullptr) probabilities_ = at::empty(buffer.sizes(), buffer.options().dtype(at::kFloat));
  }

  /// Fills losses [n] and returns d loss / d logits in the logits' dtype (undefined when no gradient is wanted). May write over the logits.
  at::Tensor run(at::Tensor& logits, const at::Tensor& targets, const at::Tensor& losses) {
    if (kernels_ != nullptr) {
      const CudaLaunch launch(logits);
      kernels_->cross_entropy(real_of(logits), logits.mutable_data_ptr(), targets.const_data_ptr<int64_t>(), logits.size(0), logits.size(1),
                              projection_.gradient, losses.mutable_data_ptr<float>(),
                              projection_.correct.defined() ? projection_.correct.mutable_data_ptr<int64_t>() : nullptr, launch.stream());
      return projection_.gradient ? logits : at::Tensor();
    }
    const auto wide = logits.to(at::kFloat);
    auto gradient = probabilities_.narrow(0, 0, logits.size(0));
    at::_log_softmax_out(gradient, wide, 1, false);
    losses.copy_(negative_log_likelihood(gradient, targets));
    count_correct(projection_, wide, targets);
    if (!projection_.gradient) return {};
    gradient.exp_();
    subtract_one_hot(gradient, targets);
    return gradient.to(logits.scalar_type());
  }

 private:
  const Projection& projection_;
  const CudaKernels* kernels_;
  at::Tensor probabilities_;
};

struct DenseProjection : torch::autograd::Function<DenseProjection> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight, const Projection& projection) {
    const int64_t count = projection.rows.size(0);
    const int64_t chunk = std::min(projection.chunk, std::max<int64_t>(count, 1));
    const auto selected = count == hidden.size(0) ? hidden : hidden.index_select(0, projection.rows);
    const auto real = hidden.options().dtype(at::kFloat);
    const bool train_weight = projection.gradient && weight.requires_grad();
    auto losses = at::empty({count}, real);
    // Buffers live across chunks: pages are touched once, not once a chunk.
    auto logits = at::empty({chunk, weight.size(0)}, hidden.options());
    Softmax softmax(projection, logits);
    auto hidden_gradient = projection.gradient ? at::empty_like(selected) : at::Tensor();
    auto weight_gradient = train_weight ? at::zeros(weight.sizes(), real) : at::Tensor();
    for (int64_t begin = 0; begin < count; begin += chunk) {
      const int64_t size = std::min(chunk, count - begin);
      const auto input = selected.narrow(0, begin, size);
      const auto targets = projection.targets.narrow(0, begin, size);
      auto output = product_in(logits.narrow(0, 0, size), input, weight.t());
      const auto narrow_gradient = softmax.run(output, targets, losses.narrow(0, begin, size));
      if (!projection.gradient) continue;
      auto target_rows = hidden_gradient.narrow(0, begin, size);
      target_rows.copy_(product_in(target_rows, narrow_gradient, weight));
      if (train_weight) weight_gradient.add_(product(narrow_gradient.t(), input));
    }
    context->saved_data["count"] = hidden.size(0);
    if (train_weight) weight_gradient = weight_gradient.to(weight.scalar_type());
    context->save_for_backward({hidden_gradient, weight_gradient, projection.rows});
    return losses.sum();
  }

  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const auto saved = context->get_saved_variables();
    at::Tensor hidden_gradient, weight_gradient;
    if (context->needs_input_grad(0))
      hidden_gradient = scatter_rows(saved[0] * incoming[0].to(saved[0].scalar_type()), saved[2], context->saved_data["count"].toInt());
    if (context->needs_input_grad(1)) weight_gradient = saved[1] * incoming[0].to(saved[1].scalar_type());
    return {hidden_gradient, weight_gradient, {}};
  }
};

/// The adapted weight's parameters are not inputs here: backward projects each chunk again and lets autograd reach them, so `anchor` (a
/// scalar that requires a gradient) keeps this node in the graph even where hidden needs none.
struct AdaptedProjection : torch::autograd::Function<AdaptedProjection> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& /*anchor*/,
                            const Projection& projection) {
    const int64_t count = projection.rows.size(0);
    const auto selected = count == hidden.size(0) ? hidden : hidden.index_select(0, projection.rows);
    auto losses = at::empty({count}, hidden.options().dtype(at::kFloat));
    for (int64_t begin = 0; begin < count; begin += projection.chunk) {
      const int64_t size = std::min(projection.chunk, count - begin);
      const auto targets = projection.targets.narrow(0, begin, size);
      const auto logits = apply_linear({projection.weight, {}}, selected.narrow(0, begin, size)).to(at::kFloat);
      losses.narrow(0, begin, size).copy_(negative_log_likelihood(at::_log_softmax(logits, 1, false), targets));
      count_correct(projection, logits, targets);
    }
    context->save_for_backward({selected.detach(), projection.rows, projection.targets});
    context->saved_data["count"] = hidden.size(0);
    context->saved_data["chunk"] = projection.chunk;
    context->saved_data["weight"] = projection.weight;
    return losses.sum();
  }

  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const auto saved = context->get_saved_variables();
    const auto weight = context->saved_data["weight"].toTensor();
    const int64_t chunk = context->saved_data["chunk"].toInt();
    auto hidden_gradient = at::empty_like(saved[0]);
    for (int64_t begin = 0; begin < saved[0].size(0); begin += chunk) {
      const int64_t size = std::min(chunk, saved[0].size(0) - begin);
      const auto input = saved[0].narrow(0, begin, size).detach().requires_grad_();
      at::Tensor logits;
      {
        const at::AutoGradMode with_gradient(true);
        logits = apply_linear({weight, {}}, input).to(at::kFloat);
      }
      auto gradient = at::_softmax(logits.detach(), 1, false);
      subtract_one_hot(gradient, saved[2].narrow(0, begin, size));
      torch::autograd::backward({logits}, {gradient.mul_(incoming[0])});
      hidden_gradient.narrow(0, begin, size).copy_(input.grad());
    }
    return {scatter_rows(hidden_gradient, saved[1], context->saved_data["count"].toInt()), {}, {}};
  }
};

int64_t default_chunk(const at::Tensor& hidden, int64_t vocabulary) {
  if (cuda_kernels_for(hidden) != nullptr) {  // logits are held once, in their own dtype; a GPU wants chunks of 1024 rows and more
    const int64_t rows = (int64_t{512} << 20) / (vocabulary * static_cast<int64_t>(hidden.element_size()));
    return std::max<int64_t>(rows / 128 * 128, 128);
  }
  const int64_t budget = hidden.is_cpu() ? int64_t{64} << 20 : int64_t{256} << 20;
  return std::max<int64_t>(budget / (vocabulary * static_cast<int64_t>(sizeof(float))), 16);
}

void check_inputs(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  const auto shape = [](const at::Tensor& tensor) {
    std::string text;
    for (const auto size : tensor.sizes()) text += (text.empty() ? "" : ", ") + std::to_string(size);
    return "[" + text + "]";
  };
  if (hidden.dim() != 2 || weight.dim() != 2 || hidden.size(1) != weight.size(1))
    throw DataError("linear_cross_entropy: hidden is " + shape(hidden) + " and weight " + shape(weight) +
                    "; their last dimensions must agree");
  if (targets.dim() != 1 || targets.size(0) != hidden.size(0) || targets.scalar_type() != at::kLong)
    throw DataError("linear_cross_entropy: targets must be int64 [" + std::to_string(hidden.size(0)) + "], got " + shape(targets));
}

}  // namespace

LinearCrossEntropy linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                                        const at::Tensor& rows, bool correct, int64_t chunk) {
  check_inputs(hidden, weight, targets);
  Projection projection;
  projection.weight = weight;
  projection.rows = rows.defined() ? rows : targets.ne(-100).nonzero().squeeze(1);
  projection.targets = targets.index_select(0, projection.rows);
  if (targets.is_cpu() && projection.targets.numel() > 0) {
    const auto low = projection.targets.min().item<int64_t>(), high = projection.targets.max().item<int64_t>();
    if (low < 0 || high >= weight.size(0))
      throw DataError("target token " + std::to_string(low < 0 ? low : high) + " is outside the vocabulary of " +
                      std::to_string(weight.size(0)))
          .hint("do the tokenizer and the model belong together?");
  }
  projection.chunk = chunk > 0 ? chunk : default_chunk(hidden, weight.size(0));
  if (correct) projection.correct = at::zeros({}, targets.options());
  LinearCrossEntropy result;
  result.correct = projection.correct;
  if (is_dense(weight)) {
    projection.gradient = at::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
    result.loss_sum = DenseProjection::apply(hidden, weight, projection);
  } else {
    const auto anchor = at::zeros({}, hidden.options().dtype(at::kFloat)).requires_grad_(at::GradMode::is_enabled());
    result.loss_sum = AdaptedProjection::apply(hidden, anchor, projection);
  }
  return result;
}

}  // namespace graft::ops
