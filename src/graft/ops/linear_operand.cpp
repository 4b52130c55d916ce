#include "graft/ops/linear_operand.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/linear.h>

#include "graft/ops/products.h"
#include "graft/ops/trained_linear.h"

namespace graft::ops {
namespace {

OperandReader& reader() {
  static OperandReader instance = nullptr;
  return instance;
}

std::optional<LinearOperand> read(const LinearParameters& linear, const at::Tensor& x) {
  bool adapted = false;
  std::optional<LinearOperand> operand;
  if (reader() != nullptr) operand = reader()(linear.weight, x, &adapted);
  if (!adapted) {
    if (linear.weight.requires_grad() || linear.weight.scalar_type() != x.scalar_type()) return std::nullopt;
    operand = LinearOperand{std::make_shared<DenseWeight>(linear.weight), {}, {}};
  }
  if (!operand || operand->weight->device() != x.device()) return std::nullopt;
  if (linear.bias.defined()) operand->bias = linear.bias.to(x.scalar_type());
  return operand;
}

}  // namespace

std::optional<std::vector<LinearOperand>> look_through(const std::vector<LinearParameters>& linears, const at::Tensor& x) {
  if (at::autocast::is_autocast_enabled(x.device().type())) return std::nullopt;
  std::vector<LinearOperand> operands;
  for (const LinearParameters& linear : linears) {
    if (linear.bias.defined() && linear.bias.requires_grad()) return std::nullopt;
    auto operand = read(linear, x);
    if (!operand) return std::nullopt;
    operands.push_back(std::move(*operand));
  }
  return operands;
}

bool is_dense(const at::Tensor& weight) {
  return weight.key_set().has(c10::DispatchKey::CPU) || weight.key_set().has(c10::DispatchKey::CUDA);
}

void register_operand_reader(OperandReader new_reader) { reader() = new_reader; }

at::Tensor apply_linear(const LinearParameters& linear, const at::Tensor& x) {
  if (has_onednn_products(x)) {
    if (const auto operand = read(linear, x)) return lora_linear(x, operand->weight, operand->bias, LinearForm::kOwn, operand->terms);
    if (is_dense(linear.weight)) return trained_linear(x, linear.weight, linear.bias);
  }
  return at::linear(x, linear.weight, linear.bias.defined() ? std::optional<at::Tensor>(linear.bias) : std::nullopt);
}

}  // namespace graft::ops
