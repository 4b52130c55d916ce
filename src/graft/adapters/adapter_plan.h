#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <vector>

#include "graft/adapters/adapted_model.h"
#include "graft/adapters/target_resolution.h"
#include "graft/io/adapter_config.h"

namespace graft::detail {

/// Everything about an adapter before anything of the model is touched.
struct AdapterPlan {
  std::string name;
  io::AdapterConfig config;
  Resolution resolution;
  at::ScalarType dtype = at::kFloat;
  uint64_t seed = 0;
  bool trainable = true;
  /// Weights outside of modules_to_save that get a full copy all the same: a PEFT file may carry a changed embedding.
  std::vector<NamedModule> weight_copies;
};

/// One tensor the adapter will have.
struct PlannedTensor {
  enum class Role { kA, kB, kWeightCopy, kSwap };
  Role role;
  std::string key;  ///< in PEFT's file
  std::vector<int64_t> shape = {};
  NamedModule place = {};     ///< the module it belongs to
  size_t target = 0;          ///< index into resolution.targets (kA, kB)
  std::string path = {};      ///< of the parameter (kSwap)
  at::Tensor parameter = {};  ///< the module's own tensor (kSwap)
  bool is_buffer = false;
  at::ScalarType dtype = at::kFloat;
};

/// In the order of AdapterSet::parameters(). UsageError for what cannot be trained (a bias that two modules share).
std::vector<PlannedTensor> planned_tensors(torch::nn::Module& root, const AdapterPlan& plan);

/// Puts the adapter on the model, freezes the rest and makes it the only active one. A new adapter's values are those of a fresh start:
/// B (an embedding's A) zero, copies equal to the base.
std::shared_ptr<Adapter> install(torch::nn::Module& root, const AdapterPlan& plan, std::shared_ptr<AdaptedModel>* model);

}  // namespace graft::detail
