#include "graft/adapters/adapter.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <utility>

namespace graft::detail {

SwappedParameter::SwappedParameter(std::string path, at::Tensor parameter, bool is_buffer)
    : path_(std::move(path)), parameter_(std::move(parameter)), base_(parameter_.detach()), is_buffer_(is_buffer) {}

void SwappedParameter::set_base(const at::Tensor& data) {
  base_ = data.detach();
  if (current_ == nullptr) parameter_.set_data(base_);
}

/// Module::to converts what is shown and nothing else. What waits follows here, so that the module fits together whatever is shown.
void SwappedParameter::follow_casts(std::optional<at::ScalarType> weight_type) {
  const at::ScalarType last = current_ == nullptr ? base_.scalar_type() : current_->data.scalar_type(), now = parameter_.scalar_type();
  const auto last_weight = std::exchange(weight_type_, weight_type);
  if (now != last)
    cast(now);
  else if (current_ != nullptr && parameter_.is_floating_point() && last_weight && weight_type && *weight_type != *last_weight)
    cast(*weight_type);
}

/// The base, and with it every waiting copy in the base's dtype. A copy in another one is a master, which stays.
void SwappedParameter::cast(at::ScalarType type) {
  const at::ScalarType last = base_.scalar_type();
  base_ = current_ == nullptr ? parameter_.detach() : base_.to(type);
  for (const auto& weak : copies_)
    if (const auto copy = weak.lock(); copy != nullptr && copy != current_ && copy->data.scalar_type() == last)
      copy->data = copy->data.to(type);
}

void SwappedParameter::show(const std::shared_ptr<Copy>& copy, std::optional<at::ScalarType> weight_type) {
  follow_casts(weight_type);
  if (copy == current_) return;
  if (current_ == nullptr) {
    base_ = parameter_.detach();
  } else {
    current_->data = parameter_.detach();
    current_->gradient = parameter_.grad();
  }
  current_ = copy;
  const auto shown_before = [&](const auto& weak) { return weak.lock() == copy; };
  if (copy != nullptr && std::none_of(copies_.begin(), copies_.end(), shown_before)) copies_.push_back(copy);
  parameter_.mutable_grad().reset();
  parameter_.set_requires_grad(false);
  const at::Device device = parameter_.device();
  parameter_.set_data(copy == nullptr ? base_.to(device) : copy->data.to(device));
  if (copy == nullptr || is_buffer_ || !copy->trainable) return;
  parameter_.set_requires_grad(true);
  if (copy->gradient.defined()) parameter_.mutable_grad() = copy->gradient.to(device, parameter_.scalar_type());
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
