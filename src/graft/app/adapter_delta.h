#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "graft/io/adapter_config.h"

namespace graft::app {

/// An adapter directory as changes to the base's tensors, by the base's names. For the streaming merge.
class AdapterDelta {
 public:
  /// DataError for a malformed adapter, an incomplete A/B pair, or a tensor that is neither.
  explicit AdapterDelta(const std::filesystem::path& directory);

  /// Base tensors ("model.layers.0.self_attn.q_proj.weight") that get a low-rank update.
  const std::set<std::string>& updated() const { return updated_; }
  /// Base tensors replaced outright (biases, modules_to_save).
  const std::map<std::string, at::Tensor>& replaced() const { return replaced_; }
  /// s·B·A in float32, in the base's layout [out, in] (or [rows, width] for an embedding).
  at::Tensor update(const std::string& name) const;
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  struct Pair {
    at::Tensor a, b;
    bool embedding = false;
  };
  io::AdapterConfig config_;
  std::map<std::string, Pair> pairs_;  // by module path
  std::set<std::string> updated_;
  std::map<std::string, at::Tensor> replaced_;
  std::vector<std::string> warnings_;
};

}  // namespace graft::app
