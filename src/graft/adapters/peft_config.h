#pragma once

#include <torch/nn/module.h>

#include "graft/adapters/lora_options.h"
#include "graft/adapters/target_resolution.h"
#include "graft/io/adapter_config.h"

namespace graft::detail {

/// The adapter_config.json of a resolved attach: targets expanded (leaf names where a leaf name means exactly the adapted modules, else
/// full paths), other ranks and alphas as patterns that cannot overlap, whatever their order in the file.
io::AdapterConfig peft_config(torch::nn::Module& root, const LoraOptions& options, const Resolution& resolution);

/// The other way round: which modules of this model a configuration means, by PEFT's rules. `file_targets` are the modules that the file
/// has factors for: what a configuration without target_modules means.
Resolution resolve_config(torch::nn::Module& root, const io::AdapterConfig& config, const std::vector<std::string>& file_targets);

/// The configuration of what the resolution is once it trains: the modules that PEFT ties to an embedding (ensure_weight_tying) are targets
/// of their own, with the rank of the factors they have and the alpha that gives their scale.
io::AdapterConfig untied_config(io::AdapterConfig config, const Resolution& resolution);

}  // namespace graft::detail
