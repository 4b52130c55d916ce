#include "graft/adapters/active_context.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "graft/adapters/adapted_model.h"
#include "graft/ops/recompute.h"

namespace graft::detail {
namespace {

std::mutex models_mutex;
std::vector<std::weak_ptr<AdaptedModel>> models;  // who a block uses is not known: all that live

struct Active {
  std::weak_ptr<AdaptedModel> model;
  AdaptedModel::Weighted weighted;
};

std::vector<Active> active_everywhere() {
  const std::lock_guard lock(models_mutex);
  std::vector<Active> found;
  for (const auto& weak : models)
    if (const auto model = weak.lock()) found.push_back({weak, model->active_now()});
  return found;
}

/// While it lives, the adapters of `wanted` are active.
class ActiveGuard {
 public:
  explicit ActiveGuard(const std::vector<Active>& wanted) {
    for (const Active& entry : wanted) {
      const auto model = entry.model.lock();
      if (model == nullptr) continue;
      auto outer = model->active_now();
      if (outer == entry.weighted) continue;
      model->activate(entry.weighted);
      outer_.emplace_back(model, std::move(outer));
    }
  }
  ~ActiveGuard() {
    for (const auto& [model, weighted] : outer_) model->activate(weighted);
  }
  ActiveGuard(const ActiveGuard&) = delete;
  ActiveGuard& operator=(const ActiveGuard&) = delete;

 private:
  std::vector<std::pair<std::shared_ptr<AdaptedModel>, AdaptedModel::Weighted>> outer_;
};

void register_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    ops::register_recompute_context([]() -> ops::RecomputeRestore {
      return [active = active_everywhere()] { return std::static_pointer_cast<void>(std::make_shared<ActiveGuard>(active)); };
    });
  });
}

}  // namespace

void restore_active_in_recompute(const std::shared_ptr<AdaptedModel>& model) {
  register_once();
  const std::lock_guard lock(models_mutex);
  models.erase(std::remove_if(models.begin(), models.end(),
                              [&](const auto& weak) {
                                const auto known = weak.lock();
                                return known == nullptr || known == model;
                              }),
               models.end());
  models.push_back(model);
}

}  // namespace graft::detail
