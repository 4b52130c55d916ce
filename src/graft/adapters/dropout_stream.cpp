#include "graft/adapters/dropout_stream.h"

#include <memory>
#include <mutex>

#include "graft/base/random.h"
#include "graft/ops/recompute.h"

namespace graft {
namespace {

std::mutex process_mutex;
DropoutPosition process_position;
at::Tensor process_round;  // undefined but while a graph is recorded
// A recomputation may run on an autograd thread: its position must not leak into other threads.
thread_local std::optional<DropoutPosition> thread_position;

DropoutPosition take_position() {
  const std::lock_guard lock(process_mutex);
  DropoutPosition& position = thread_position ? *thread_position : process_position;
  const DropoutPosition taken = position;
  if (!position.seed) ++position.step;
  return taken;
}

}  // namespace

void set_dropout_position(uint64_t seed, uint64_t step, uint64_t micro) {
  const std::lock_guard lock(process_mutex);
  process_position = {seed, step, micro};
}

void clear_dropout_position() {
  const std::lock_guard lock(process_mutex);
  process_position = {};
}

DropoutPositionKeeper::DropoutPositionKeeper() {
  const std::lock_guard lock(process_mutex);
  kept_ = process_position;
}
DropoutPositionKeeper::~DropoutPositionKeeper() {
  const std::lock_guard lock(process_mutex);
  process_position = kept_;
}

DropoutPosition current_dropout_position() {
  const std::lock_guard lock(process_mutex);
  return thread_position ? *thread_position : process_position;
}

DropoutPositionGuard::DropoutPositionGuard(DropoutPosition position) : outer_(thread_position) { thread_position = position; }
DropoutPositionGuard::~DropoutPositionGuard() { thread_position = outer_; }

uint64_t dropout_round(const DropoutPosition& position) {
  return derive_seed(position.seed.value_or(0), "dropout", position.step, position.micro);
}

DropoutRoundGuard::DropoutRoundGuard(at::Tensor round) {
  const std::lock_guard lock(process_mutex);
  process_round = std::move(round);
}
DropoutRoundGuard::~DropoutRoundGuard() {
  const std::lock_guard lock(process_mutex);
  process_round.reset();
}

namespace detail {

uint64_t dropout_site(const std::string& path) { return derive_seed(0, "dropout site " + path); }

ops::Dropout next_dropout(double keep, uint64_t adapter_seed, uint64_t site) {
  DropoutPosition position = take_position();
  if (!position.seed) position.seed = adapter_seed;
  const std::lock_guard lock(process_mutex);
  return {derive_seed(adapter_seed ^ site, "dropout"), keep, {dropout_round(position), process_round}};
}

void register_dropout_recompute() {
  static std::once_flag once;
  std::call_once(once, [] {
    ops::register_recompute_context([]() -> ops::RecomputeRestore {
      return [position = current_dropout_position()] {
        return std::static_pointer_cast<void>(std::make_shared<DropoutPositionGuard>(position));
      };
    });
  });
}

}  // namespace detail
}  // namespace graft
