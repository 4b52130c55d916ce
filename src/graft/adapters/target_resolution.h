#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graft/adapters/lora_options.h"
#include "graft/adapters/module_tree.h"

namespace graft::detail {

/// One module that gets an A and a B.
struct Target {
  NamedModule place;
  SiteKind kind = SiteKind::kLinear;
  int64_t rank = 0;
  double alpha = 0;
};

struct Resolution {
  std::vector<Target> targets;     ///< in the model's order
  std::vector<NamedModule> saved;  ///< modules_to_save, outermost only
};

/// Which modules the options mean. Reads the model, changes nothing. UsageError for whatever matches nothing or cannot be adapted; the text
/// names the pattern, the nearest existing name, and how many Linear modules there are. Warns once about matrices no adapter can reach when
/// the targets are given by kind ("all-linear", "attention", "mlp").
Resolution resolve_targets(torch::nn::Module& root, const LoraOptions& options);

/// Throws UsageError, with the reason, unless this module's weight can be adapted. `path` is for the text.
void check_adaptable(const torch::nn::Module& module, const std::string& path);

}  // namespace graft::detail
