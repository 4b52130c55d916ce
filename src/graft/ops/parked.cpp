#include "graft/ops/parked.h"

#include <ATen/EmptyTensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::ops {
namespace {

using Backend = c10::impl::VirtualGuardImpl;

c10::Stream current_stream(c10::Device device) { return Backend(device.type()).getStream(device); }

/// One for each forward: all copies of a tensor run in it, so a copy back never overtakes the copy out.
c10::Stream side_stream(c10::Device device) {
  if (device.is_cpu()) return c10::Stream(c10::Stream::DEFAULT, device);
  return Backend(device.type()).getStreamFromGlobalPool(device, /*isHighPriority=*/false);
}

/// at::empty would have the host fill it with NaN, and wait, under deterministic algorithms.
at::Tensor pinned_like(const at::Tensor& tensor) {
  try {
    return at::Tensor(at::detail::empty_cpu(tensor.sizes(), tensor.scalar_type(), /*pin_memory=*/true));
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    throw InternalError("cannot pin " + format_bytes(static_cast<double>(tensor.nbytes())) +
                        " of host memory for an offloaded activation: " + text.substr(0, text.find('\n')))
        .hint("offloading takes as much host memory as it frees on the GPU: run without it, or with fewer tokens in a micro-batch");
  }
}

}  // namespace

Parked::Parked(const at::Tensor& tensor, c10::Stream side, std::weak_ptr<Parked> before)
    : side_(side), moved_(side.device_type()), before_(std::move(before)) {
  if (is_on_host()) {
    host_ = tensor.detach();
    return;
  }
  // Its memory goes back to LibTorch's cache of pinned blocks, which hands it out again only after the copies it was told of by copy_.
  host_ = pinned_like(tensor);
  resident_ = tensor.detach();
  transfer(host_, resident_);
}

Parked::~Parked() {
  // Not used up (the graph was dropped): no stream was told to wait for the copy, so the allocator has to.
  if (resident_.defined()) resident_.record_stream(side_);
}

void Parked::transfer(const at::Tensor& to, const at::Tensor& from) {
  // In the current stream `from` has been written by then, and what used `to`'s memory before has ended.
  c10::Event ready(side_.device_type());
  ready.record(current_stream(side_.device()));
  ready.block(side_);
  const c10::StreamGuard in_side_stream(side_);
  to.copy_(from, /*non_blocking=*/true);
  moved_.record(side_);
}

void Parked::start_return() {
  if (is_on_host() || resident_.defined()) return;
  resident_ = at::empty(host_.sizes(), host_.options().device(side_.device()));
  transfer(resident_, host_);
}

void Parked::leave() {
  if (!resident_.defined()) return;
  moved_.block(current_stream(side_.device()));
  resident_.reset();
}

at::Tensor Parked::fetch() {
  if (is_on_host()) return host_;
  start_return();
  moved_.block(current_stream(side_.device()));
  const auto tensor = std::exchange(resident_, at::Tensor());
  if (const auto before = before_.lock()) before->start_return();
  return tensor;
}

std::shared_ptr<Parked> ParkedChain::park(const at::Tensor& tensor) {
  if (!side_) side_ = side_stream(tensor.device());
  if (on_device_.size() == kOnDevice) {
    if (const auto oldest = on_device_.front().lock()) oldest->leave();
    on_device_.pop_front();
  }
  auto parked = std::make_shared<Parked>(tensor, *side_, on_device_.empty() ? std::weak_ptr<Parked>() : on_device_.back());
  on_device_.push_back(parked);
  return parked;
}

}  // namespace graft::ops
