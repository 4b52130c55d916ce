#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>

#include "graft/adapters/weight_site.h"

namespace graft::detail {

/// The tensor that stands in a module in its weight's place. It reports the base's shape, dtype and device, owns no storage, and answers
///
///   t, transpose, permute, mT, numpy_T        the same weight, turned
///   matmul, mm, addmm, linear, embedding      by asking its WeightSite
///   detach, alias, to                         the same weight (autocast and Module::to need them)
///
/// Every other operator is a UsageError that names it: a silent dense copy would cut the adapters off from their gradients.
/// adapted_weight.cpp is the only file that knows dispatch keys. One process can hold one library that uses PrivateUse3.
at::Tensor make_adapted_weight(std::shared_ptr<WeightSite> site);

/// The site behind a module's weight, or null for a plain (or undefined) tensor.
std::shared_ptr<WeightSite> site_of(const at::Tensor& weight);

/// Replaces the weight of a Linear or Embedding: the public member its forward reads, and the registration (which is what
/// named_parameters() and to() see). One without the other would train nothing, or keep the dense base alive.
void replace_weight(torch::nn::Module& module, const at::Tensor& member, const at::Tensor& registered);
/// The member `weight` of a Linear or Embedding; undefined for every other module.
at::Tensor weight_of(torch::nn::Module& module);
/// What is registered as its "weight".
at::Tensor registered_weight(torch::nn::Module& module);

}  // namespace graft::detail
