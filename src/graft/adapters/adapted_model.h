#pragma once

#include <c10/core/UndefinedTensorImpl.h>
#include <c10/util/intrusive_ptr.h>
#include <torch/nn/module.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "graft/adapters/adapter.h"
#include "graft/adapters/weight_site.h"

namespace graft::detail {

/// The adapters of one model and which of them are active. Owned by the model's adapted weights, so it lives as long as they do.
class AdaptedModel : public std::enable_shared_from_this<AdaptedModel> {
 public:
  explicit AdaptedModel(torch::nn::Module& root) : root_(&root) {}

  /// The adapters of this model; null when it has none. UsageError when they were attached at another module above or below it.
  static std::shared_ptr<AdaptedModel> find(torch::nn::Module& root);
  /// Every group of adapters at or below this module.
  static std::vector<std::shared_ptr<AdaptedModel>> find_all(torch::nn::Module& root);

  const std::vector<std::shared_ptr<Adapter>>& adapters() const { return adapters_; }
  std::shared_ptr<Adapter> adapter(const std::string& name) const;
  std::vector<std::string> names() const;

  void add(std::shared_ptr<Adapter> adapter);
  void add_site(const std::shared_ptr<WeightSite>& site) { sites_.push_back(site); }
  /// The parameter's swap, made on first use.
  std::shared_ptr<SwappedParameter> swap_of(const std::string& path, const at::Tensor& parameter, bool is_buffer);

  using Weighted = std::vector<std::pair<std::string, double>>;
  void activate(const Weighted& weighted);
  const Weighted& active() const { return active_; }
  /// The same for another thread than the one that activates.
  Weighted active_now() const;

  /// Whether the weights that its start changed (weight_start.h) can be put back.
  bool is_removable(const Adapter& adapter) const;
  /// Takes the adapter out of every site, puts plain weights back where nothing is left, and the requires_grad flags when it was the last.
  /// UsageError unless it is removable.
  void remove(const Adapter& adapter);
  /// Folds the active adapter into the dense base, then removes it.
  void merge(const Adapter& adapter);

  /// Remembers the requires_grad flags (once) and freezes every parameter below the root that no adapter trains.
  void freeze();
  /// Whether this parameter required gradients before anything was attached.
  bool required_grad(const at::Tensor& parameter) const;
  torch::nn::Module& root() const { return *root_; }
  std::vector<std::shared_ptr<WeightSite>> sites() const;

 private:
  void check_activation(const Weighted& weighted) const;
  void show_copies();
  std::shared_ptr<WeightSite> lost_original(const Adapter& adapter) const;
  void put_back(WeightSite& site);
  void thaw();

  torch::nn::Module* root_;  // compared, and used only on behalf of a caller who holds it
  std::vector<std::shared_ptr<Adapter>> adapters_;
  Weighted active_;
  mutable std::mutex active_mutex_;  // for writing it, and for reading by another thread
  std::vector<std::weak_ptr<WeightSite>> sites_;
  std::vector<std::shared_ptr<SwappedParameter>> swaps_;
  std::vector<std::pair<c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>, bool>> flags_;
};

}  // namespace graft::detail
