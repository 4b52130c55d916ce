#include "graft/data/prefetch.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "graft/base/error.h"

namespace graft::data {
namespace {

struct Ready {
  StepBatches batches;
  std::exception_ptr error;
};

}  // namespace

struct Prefetcher::State {
  Make make;
  int64_t next_step, last_step;
  size_t depth;

  std::mutex mutex;
  std::condition_variable room, filled;
  std::deque<Ready> ready;
  bool stopping = false, ended = false;
  std::thread thread;

  bool past_end(int64_t step) const { return last_step >= 0 && step > last_step; }

  void produce() {
    for (int64_t step = next_step; !past_end(step); ++step) {
      Ready made;
      try {
        made.batches = make(step);
      } catch (...) {
        made.error = std::current_exception();
      }
      const bool failed = made.error != nullptr;
      std::unique_lock lock(mutex);
      room.wait(lock, [this] { return stopping || ready.size() < depth; });
      if (stopping) return;
      ready.push_back(std::move(made));
      filled.notify_one();
      if (failed) break;
    }
    const std::lock_guard lock(mutex);
    ended = true;
    filled.notify_one();
  }
};

Prefetcher::Prefetcher(Make make, int64_t first_step, int64_t last_step, int depth) : state_(std::make_unique<State>()) {
  state_->make = std::move(make);
  state_->next_step = first_step;
  state_->last_step = last_step;
  state_->depth = static_cast<size_t>(std::max(depth, 1));
  state_->thread = std::thread([state = state_.get()] { state->produce(); });
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->room.notify_all();
  state_->thread.join();
}

StepBatches Prefetcher::next() {
  std::unique_lock lock(state_->mutex);
  state_->filled.wait(lock, [this] { return !state_->ready.empty() || state_->ended; });
  if (state_->ready.empty()) throw InternalError("no batches after the last step");
  Ready first = std::move(state_->ready.front());
  state_->ready.pop_front();
  lock.unlock();
  state_->room.notify_one();
  if (first.error) std::rethrow_exception(first.error);
  return std::move(first.batches);
}

}  // namespace graft::data
