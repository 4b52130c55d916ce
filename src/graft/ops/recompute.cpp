#include "graft/ops/recompute.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <mutex>
#include <utility>
#include <vector>

#include "graft/base/error.h"

namespace graft::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Block = std::function<at::Tensor(const at::Tensor&, Pass)>;

struct Registry {
  std::mutex mutex;
  std::vector<std::function<RecomputeRestore()>> captures;
};
Registry& registry() {
  static Registry instance;
  return instance;
}

std::vector<RecomputeRestore> capture_contexts() {
  const std::lock_guard lock(registry().mutex);
  std::vector<RecomputeRestore> result;
  for (const auto& capture : registry().captures) result.push_back(capture());
  return result;
}

/// Autocast on this thread. Its cache is never on in a block: casts made in the first run have no gradients, and those of a plain forward
/// belong to its graph.
struct Autocast {
  struct Device {
    at::DeviceType type;
    bool enabled = at::autocast::is_autocast_enabled(type);
    at::ScalarType dtype = at::autocast::get_autocast_dtype(type);
  };
  std::array<Device, 2> devices{{{at::kCPU}, {at::kCUDA}}};
  bool cache = at::autocast::is_autocast_cache_enabled();

  void set(bool with_cache) const {
    for (const Device& device : devices) {
      at::autocast::set_autocast_enabled(device.type, device.enabled);
      at::autocast::set_autocast_dtype(device.type, device.dtype);
    }
    at::autocast::set_autocast_cache_enabled(with_cache);
  }
};

class AutocastGuard {
 public:
  explicit AutocastGuard(const Autocast& inside) { inside.set(/*with_cache=*/false); }
  ~AutocastGuard() { outer_.set(outer_.cache); }
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  Autocast outer_;
};

/// What backward needs to run the block again; travels inside the autograd graph.
struct Rerun : torch::CustomClassHolder {
  Block block;
  Autocast autocast;
  std::vector<RecomputeRestore> contexts;
  std::vector<at::Tensor> kept;
  std::shared_ptr<Parked> parked_input;  ///< null: the input is among the node's saved variables
  bool input_needs_gradient = false;
};

struct Recompute : torch::autograd::Function<Recompute> {
  /// `anchor` requires a gradient: without it the output of a block with a frozen input would be cut off from the parameters inside.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& anchor,
                            const c10::intrusive_ptr<Rerun>& rerun, ParkedChain* chain) {
    rerun->input_needs_gradient = input.requires_grad();
    rerun->contexts = capture_contexts();
    if (chain != nullptr)
      rerun->parked_input = chain->park(input);
    else
      context->save_for_backward({input});
    context->saved_data["rerun"] = c10::IValue::make_capsule(rerun);
    const AutocastGuard autocast(rerun->autocast);
    return rerun->block(input, {false, &rerun->kept});  // apply() has switched gradients off
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto rerun = c10::static_intrusive_pointer_cast<Rerun>(context->saved_data["rerun"].toCapsule());
    const auto saved = context->get_saved_variables();  // also what refuses a second backward through a graph that was not retained
    auto input = (rerun->parked_input ? rerun->parked_input->fetch() : saved[0]).detach();
    input.requires_grad_(rerun->input_needs_gradient);
    std::vector<std::shared_ptr<void>> guards;
    for (const auto& restore : rerun->contexts) guards.push_back(restore());
    at::Tensor output;
    {
      const AutocastGuard autocast(rerun->autocast);
      const at::AutoGradMode with_gradients(true);
      output = rerun->block(input, {true, &rerun->kept});
    }
    if (output.requires_grad()) torch::autograd::backward({output}, {gradients[0]});
    return {input.grad(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor recompute(Block block, const at::Tensor& input, ParkedChain* chain) {
  if (!at::GradMode::is_enabled()) return block(input, {});
  auto rerun = c10::make_intrusive<Rerun>();
  rerun->block = std::move(block);
  const auto anchor = at::empty({0}, input.options().dtype(at::kFloat)).requires_grad_(true);
  return Recompute::apply(input, anchor, rerun, chain);
}

void register_recompute_context(std::function<RecomputeRestore()> capture) {
  const std::lock_guard lock(registry().mutex);
  registry().captures.push_back(std::move(capture));
}

}  // namespace graft::ops
