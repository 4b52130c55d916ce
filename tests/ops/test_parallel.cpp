#include "graft/ops/parallel.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "graft/ops/swiglu.h"
#include "ops/support.h"

using namespace graft;
using namespace graft::testing;

TEST_CASE("parallel_for covers every index once, on LibTorch's threads", "[ops]") {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  for (const int64_t count : {0, 1, 7, 1000, 100003}) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
    std::mutex mutex;
    std::set<std::thread::id> threads;
    ops::parallel_for(count, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    });
    for (const auto& times : seen) REQUIRE(times == 1);
    if (count >= 1000) REQUIRE(threads.size() == 2);
  }
  at::set_num_threads(before);
}

TEST_CASE("fast loops give the same bits with one thread and with two", "[ops]") {
  const auto gate = seeded_normal({70001}), up = seeded_normal({70001}, at::kFloat, 2);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = ops::swiglu(gate, up);
  at::set_num_threads(2);
  const auto two = ops::swiglu(gate, up);
  at::set_num_threads(before);
  REQUIRE(at::equal(one, two));
}
