#include <atomic>
#include <chrono>
#include <thread>

#include "data/support.h"
#include "graft/data/prefetch.h"

using graft::data::Prefetcher;
using graft::data::StepBatches;

namespace {

StepBatches numbered(int64_t step) {
  StepBatches batches;
  batches.epoch = static_cast<double>(step);
  return batches;
}

}  // namespace

TEST_CASE("prefetched steps come in order, from the first to the last and no further", "[data]") {
  Prefetcher prefetcher(numbered, 5, 9, 3);
  for (int64_t step = 5; step <= 9; ++step) REQUIRE(prefetcher.next().epoch == static_cast<double>(step));
  REQUIRE_THROWS_AS(prefetcher.next(), graft::InternalError);
}

TEST_CASE("no more than depth steps are made ahead", "[data]") {
  std::atomic<int64_t> made{0};
  Prefetcher prefetcher([&](int64_t step) { return made = step, numbered(step); }, 1, -1, 2);
  for (int64_t step = 1; step <= 20; ++step) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    REQUIRE(made <= step + 2);  // two wait, one is under way
    prefetcher.next();
  }
}

TEST_CASE("what making a step throws comes out at that step", "[data]") {
  Prefetcher prefetcher([](int64_t step) { return step == 3 ? throw graft::DataError("broken") : numbered(step); }, 1);
  REQUIRE(prefetcher.next().epoch == 1);
  REQUIRE(prefetcher.next().epoch == 2);
  REQUIRE_THROWS_AS(prefetcher.next(), graft::DataError);
}

TEST_CASE("a prefetcher that is not read to its end stops when it goes", "[data]") {
  for (int i = 0; i < 50; ++i) {
    Prefetcher prefetcher(numbered, 1, -1, 4);
    if (i % 2) prefetcher.next();
  }
}
