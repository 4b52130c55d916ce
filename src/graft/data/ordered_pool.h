#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace graft::data {

/// Runs `work` over a stream of items on `workers` threads; results come back in the items' order whatever the threads do.
/// produce (false: no more) and consume run on the calling thread; at most 4 items per worker are in memory. What `work` throws is
/// thrown at the turn of its item, so the first failure in order wins. Every thread has ended when this returns or throws.
template <class Item, class Result>
class OrderedPool {
 public:
  OrderedPool(int workers, std::function<Result(Item&)> work) : work_(std::move(work)), limit_(static_cast<size_t>(workers) * 4) {
    try {
      for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { serve(); });
    } catch (const std::system_error&) {
      if (threads_.empty()) throw;  // fewer threads than asked for change the time, not the result
    }
  }

  ~OrderedPool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_workers_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  OrderedPool(const OrderedPool&) = delete;
  OrderedPool& operator=(const OrderedPool&) = delete;

  void run(const std::function<bool(Item&)>& produce, const std::function<void(Result&&)>& consume) {
    std::deque<std::shared_ptr<Slot>> under_way;
    bool more = true;
    while (more || !under_way.empty()) {
      while (more && under_way.size() < limit_) {
        auto slot = std::make_shared<Slot>();
        if (!(more = produce(slot->item))) break;
        under_way.push_back(slot);
        const std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(slot));
        wake_workers_.notify_one();
      }
      if (under_way.empty()) return;
      const auto slot = under_way.front();
      under_way.pop_front();
      {
        std::unique_lock lock(mutex_);
        slot_done_.wait(lock, [&] { return slot->done; });
      }
      if (slot->error) std::rethrow_exception(slot->error);
      consume(std::move(slot->result));
    }
  }

 private:
  struct Slot {
    Item item;
    Result result;
    std::exception_ptr error;
    bool done = false;
  };

  void serve() {
    while (true) {
      std::shared_ptr<Slot> slot;
      {
        std::unique_lock lock(mutex_);
        wake_workers_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (stopping_) return;
        slot = std::move(waiting_.front());
        waiting_.pop_front();
      }
      try {
        slot->result = work_(slot->item);
      } catch (...) {
        slot->error = std::current_exception();
      }
      slot->item = Item();
      const std::lock_guard lock(mutex_);
      slot->done = true;
      slot_done_.notify_one();
    }
  }

  std::function<Result(Item&)> work_;
  size_t limit_;
  std::mutex mutex_;
  std::condition_variable wake_workers_, slot_done_;
  std::deque<std::shared_ptr<Slot>> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace graft::data
