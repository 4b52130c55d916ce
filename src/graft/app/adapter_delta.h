#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "graft/io/adapter_config.h"

namespace graft::app {

/// What a base holds, from its files alone.
struct BaseTensors {
  std::string model_type;                              ///< config.json's
  bool known_family = false;                           ///< one of graft's: what is on disk is what the model has
  std::map<std::string, std::vector<int64_t>> shapes;  ///< by name; 4-bit weights as they decode, a tied output head under its own name
};

/// An adapter directory as changes to the base's tensors, by the base's names. For the streaming merge.
class AdapterDelta {
 public:
  /// Checks the file against its adapter_config.json and the base tensor by tensor, as load_adapter does with a model: DataError that lists
  /// what is missing, unexpected or of another shape, for a malformed adapter and for one that is not plain LoRA. Configuration warnings
  /// are logged.
  AdapterDelta(const std::filesystem::path& directory, const BaseTensors& base);

  /// Base tensors ("model.layers.0.self_attn.q_proj.weight") that get a low-rank update.
  const std::set<std::string>& updated() const { return updated_; }
  /// Base tensors replaced outright (biases, modules_to_save).
  const std::map<std::string, at::Tensor>& replaced() const { return replaced_; }
  /// s·B·A in float32, in the base's layout: [out, in], [rows, width] for an embedding, [in, out] where the base stores it so.
  at::Tensor update(const std::string& name) const;

 private:
  struct Pair {
    at::Tensor a, b;
    bool transposed = false;  ///< the base holds the matrix as Aᵀ·Bᵀ
  };
  io::AdapterConfig config_;
  std::map<std::string, Pair> pairs_;  // by module path
  std::set<std::string> updated_;
  std::map<std::string, at::Tensor> replaced_;
};

}  // namespace graft::app
