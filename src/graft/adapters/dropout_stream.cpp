#include "graft/adapters/dropout_stream.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/detail/AcceleratorHooksInterface.h>

#include <memory>
#include <mutex>

#include "graft/base/random.h"
#include "graft/ops/recompute.h"

namespace graft {
namespace {

std::mutex process_mutex;
DropoutPosition process_position;
// A recomputation may run on an autograd thread: its position must not leak into other threads.
thread_local std::optional<DropoutPosition> thread_position;

DropoutPosition take_position() {
  const std::lock_guard lock(process_mutex);
  DropoutPosition& position = thread_position ? *thread_position : process_position;
  const DropoutPosition taken = position;
  if (!position.seed) ++position.step;
  return taken;
}

at::Generator generator_for(at::Device device, uint64_t seed) {
  if (device.is_cpu()) return at::make_generator<at::CPUGeneratorImpl>(seed);
  auto generator = at::globalContext().getAcceleratorHooksInterface(device.type()).getNewGenerator(device.index());
  generator.set_current_seed(seed);
  return generator;
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

DropoutPosition current_dropout_position() {
  const std::lock_guard lock(process_mutex);
  return thread_position ? *thread_position : process_position;
}

DropoutPositionGuard::DropoutPositionGuard(DropoutPosition position) : outer_(thread_position) { thread_position = position; }
DropoutPositionGuard::~DropoutPositionGuard() { thread_position = outer_; }

namespace detail {

uint64_t dropout_site(const std::string& path) { return derive_seed(0, "dropout site " + path); }

at::Tensor dropout_mask(const at::Tensor& x, double keep, uint64_t adapter_seed, uint64_t site) {
  const DropoutPosition position = take_position();
  const uint64_t seed = derive_seed(position.seed.value_or(adapter_seed) ^ site, "dropout", position.step, position.micro);
  at::NoGradGuard no_graph;
  return at::empty(x.sizes(), x.options().dtype(at::kBool)).bernoulli_(keep, generator_for(x.device(), seed));
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
