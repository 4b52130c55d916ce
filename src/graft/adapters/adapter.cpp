#include "graft/adapters/adapter.h"

#include <ATen/Functions.h>

namespace graft::detail {

SwappedParameter::SwappedParameter(std::string path, at::Tensor parameter, bool is_buffer)
    : path_(std::move(path)), parameter_(std::move(parameter)), base_(parameter_.detach()), is_buffer_(is_buffer) {}

void SwappedParameter::set_base(const at::Tensor& data) {
  base_ = data.detach();
  if (current_ == nullptr) parameter_.set_data(base_);
}

void SwappedParameter::show(const std::shared_ptr<Copy>& copy) {
  if (copy == current_) return;
  // Module::to may have converted what was shown: that is the truth about it now.
  if (current_ == nullptr) {
    base_ = parameter_.detach();
  } else {
    if (parameter_.scalar_type() != current_->data.scalar_type()) base_ = base_.to(parameter_.scalar_type());
    current_->data = parameter_.detach();
    current_->gradient = parameter_.grad();
  }
  current_ = copy;
  parameter_.mutable_grad().reset();
  parameter_.set_requires_grad(false);
  const at::Device device = parameter_.device();
  parameter_.set_data(copy == nullptr ? base_.to(device) : copy->data.to(device));
  if (copy == nullptr || is_buffer_ || !copy->trainable) return;
  parameter_.set_requires_grad(true);
  if (copy->gradient.defined()) parameter_.mutable_grad() = copy->gradient.to(device);
}

at::Tensor TrainedTensor::value() const {
  if (swapped == nullptr) return own.detach();
  return swapped->current() == copy ? swapped->parameter().detach() : copy->data;
}

void TrainedTensor::assign(const at::Tensor& values) const {
  at::NoGradGuard no_graph;
  value().copy_(values);
}

}  // namespace graft::detail
