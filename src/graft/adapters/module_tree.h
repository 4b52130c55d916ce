#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graft/adapters/weight_site.h"

namespace graft::detail {

struct NamedModule {
  std::string path;
  std::shared_ptr<torch::nn::Module> module;
};

/// Every module below `root` in registration order, each once (a module registered twice keeps its first path).
std::vector<NamedModule> modules_below(torch::nn::Module& root);

/// Which kind of weight a module has, if it is one that can be adapted.
std::optional<SiteKind> site_kind(const torch::nn::Module& module);

/// "Linear" for torch::nn::LinearImpl, "graft::models::RmsNorm" for …Impl: the class's name for people.
std::string type_name(const torch::nn::Module& module);

/// Trainable matrices (two dimensions or more) that belong to no Linear or Embedding: "attention.in_proj_weight (MultiheadAttention)".
std::vector<std::string> unreachable_matrices(torch::nn::Module& root);

/// Whether the root is one of graft's own decoders, whose output head "all-linear" leaves out.
bool is_graft_decoder(const torch::nn::Module& root);

}  // namespace graft::detail
