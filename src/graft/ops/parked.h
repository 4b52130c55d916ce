#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <deque>
#include <memory>
#include <optional>

namespace graft::ops {

/// A tensor whose bytes wait for backward in pinned host memory instead of on its GPU (activation offload: Rhu et al. 2016,
/// arXiv:1602.08124). Copies run on a side stream; the host waits for none. What comes back is bit-equal.
///
/// Streams: a copy begins when the work queued so far in the current stream is done. Device memory is given back to the stream that it
/// was allocated in, once that stream has been told to wait for the copy: it can be reused at once, however far the host is ahead of the
/// GPU. Hence park() and fetch() of one forward belong in one stream, which autograd sees to: it runs a node's backward in the stream of
/// its forward. A tensor on the CPU is in host memory already: it is only held.
class Parked {
 public:
  /// Starts the copy out. `side` is the stream of the copies, of the tensor's device; `before`: what the backward needs after this one.
  Parked(const at::Tensor& tensor, c10::Stream side, std::weak_ptr<Parked> before);
  ~Parked();
  Parked(const Parked&) = delete;
  Parked& operator=(const Parked&) = delete;

  /// The tensor on its device (a GPU: contiguous), for use in the current stream; starts the copy back of the one before. May be called
  /// again.
  at::Tensor fetch();
  /// Gives the device's copy back; the current stream waits for the copy out.
  void leave();

 private:
  bool is_on_host() const { return side_.device().is_cpu(); }
  void start_return();
  void transfer(const at::Tensor& to, const at::Tensor& from);

  at::Tensor host_, resident_;  ///< resident_: the device's copy, while there is one
  c10::Stream side_;
  c10::Event moved_;  ///< the last copy from or to resident_
  std::weak_ptr<Parked> before_;
};

/// Parks the inputs of one forward's blocks, in the order in which the blocks run. The last kOnDevice of them are still on the device when
/// the forward ends, which is where backward begins; in backward there are two at most, one in use and one on its way.
/// InternalError when the host's memory cannot be pinned.
class ParkedChain {
 public:
  static constexpr size_t kOnDevice = 2;

  std::shared_ptr<Parked> park(const at::Tensor& tensor);

 private:
  std::optional<c10::Stream> side_;              ///< of the first tensor's device
  std::deque<std::weak_ptr<Parked>> on_device_;  ///< oldest first
};

}  // namespace graft::ops
