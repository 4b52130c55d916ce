#include "graft/adapters/quantize.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <map>

#include "graft/adapters/adapted_weight.h"
#include "graft/adapters/frozen_module.h"
#include "graft/adapters/module_tree.h"
#include "graft/adapters/name_pattern.h"
#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/io/quantization_config.h"
#include "graft/quant/four_bit_weight.h"
#include "graft/quant/fp8_weight.h"

namespace graft {
namespace {

using detail::NamedModule;
using detail::NamePattern;

/// Every module that holds this weight, by path: one tensor in two modules is stored once, and must stay one tensor.
std::map<const void*, std::vector<std::string>> holders(const std::vector<NamedModule>& modules) {
  std::map<const void*, std::vector<std::string>> result;
  for (const NamedModule& entry : modules) {
    const at::Tensor weight = detail::weight_of(*entry.module);
    if (!weight.defined()) continue;
    const auto site = detail::site_of(weight);
    const at::Tensor original = site == nullptr ? weight : site->original;
    if (original.defined()) result[original.unsafeGetTensorImpl()].push_back(entry.path);
  }
  return result;
}

void check_patterns(const std::vector<NamedModule>& modules, const std::vector<std::string>& skip) {
  for (const std::string& text : skip) {
    const NamePattern pattern(text, "skip");
    if (std::any_of(modules.begin(), modules.end(), [&](const NamedModule& entry) { return pattern.matches(entry.path); })) continue;
    std::vector<std::string> names;
    for (const NamedModule& entry : modules) names.push_back(detail::leaf_of(entry.path)), names.push_back(entry.path);
    throw UsageError("skip: \"" + text + "\" matches no module").nearest(nearest_name(text, names)).hint("correct it or leave it out");
  }
}

/// Why this Linear stays dense; "" when it does not.
std::string reason_to_leave(const NamedModule& entry, bool decoder, const LinearFormat& how,
                            const std::map<const void*, std::vector<std::string>>& holders) {
  if (detail::skips(how.skip(), entry.path)) return "named by skip";
  if (decoder && entry.path == "lm_head") return "the output head of a language model";
  const at::Tensor weight = detail::weight_of(*entry.module);
  const auto site = detail::site_of(weight);
  if (site != nullptr && site->base->kind() != "dense") return "stored in " + site->base->kind() + " already";
  if (site != nullptr && std::any_of(site->parts.begin(), site->parts.end(), [](const auto& part) { return part.copy.defined(); }))
    return "an adapter trains it in full";
  if (weight.dim() != 2 || weight.numel() == 0) return "not a matrix with entries";
  if (weight.scalar_type() != at::kFloat && weight.scalar_type() != at::kBFloat16 && weight.scalar_type() != at::kHalf)
    return std::string("its dtype is ") + c10::toString(weight.scalar_type());
  // A base that an adapter's start was taken out of is a tensor of its own.
  const auto shared = holders.find(site == nullptr ? weight.unsafeGetTensorImpl() : site->original.unsafeGetTensorImpl());
  if (!(site != nullptr && site->taken) && shared != holders.end() && shared->second.size() > 1)
    return "one tensor shared by " + enumerate(shared->second);
  return "";
}

at::Tensor dense_weight_of(const NamedModule& entry) {
  const at::Tensor weight = detail::weight_of(*entry.module);
  const auto site = detail::site_of(weight);
  return site == nullptr ? weight.detach() : site->base->dense(site->base->dtype());
}

}  // namespace

void FourBitLinears::check() const { quant::check_block(options_.block); }

double FourBitLinears::bytes_per_weight() const { return io::four_bit_bytes_per_weight(options_.block, options_.double_quant); }

LinearFormat::Stored FourBitLinears::store(const at::Tensor& dense, const std::string& name) const {
  auto tensor = quant::encode(dense, options_, name);
  const int64_t bytes = tensor.bytes();
  return {std::make_shared<quant::FourBitWeight>(std::move(tensor), dense.scalar_type()), bytes};
}

LinearFormat::Stored Fp8Options::store(const at::Tensor& dense, const std::string& name) const {
  auto rows = quant::to_fp8(dense);
  if (!at::isfinite(rows.scales).all().item<bool>())
    throw DataError("a weight is not finite and cannot be quantized")
        .at(name)
        .hint("the model's file is damaged, or its training diverged");
  const auto bytes = static_cast<int64_t>(rows.codes.nbytes() + rows.scales.nbytes());
  return {std::make_shared<quant::Fp8Weight>(std::move(rows), dense.scalar_type()), bytes};
}

QuantizeReport quantize(torch::nn::Module& model, const LinearFormat& how) {
  how.check();
  const auto modules = detail::modules_below(model);
  check_patterns(modules, how.skip());
  const auto shared = holders(modules);
  const bool decoder = detail::is_graft_decoder(model);
  QuantizeReport report;
  std::vector<NamedModule> chosen;
  for (const NamedModule& entry : modules) {
    if (detail::site_kind(*entry.module) != detail::SiteKind::kLinear) continue;
    const std::string reason = reason_to_leave(entry, decoder, how, shared);
    reason.empty() ? chosen.push_back(entry) : report.left.push_back(entry.path + ": " + reason);
  }
  if (chosen.empty())
    throw UsageError("the model has no Linear to quantize" + (report.left.empty() ? std::string() : "; " + enumerate(report.left)))
        .hint("only the weights of torch::nn::Linear modules can be quantized");
  for (const NamedModule& entry : chosen) {
    const at::Tensor dense = dense_weight_of(entry);
    auto stored = how.store(dense, entry.path + ".weight");
    ++report.modules;
    report.bytes_before += static_cast<int64_t>(dense.nbytes());
    report.bytes_after += stored.bytes;
    detail::store_frozen(entry.module, entry.path, std::move(stored.weight));
  }
  return report;
}

bool detail::skips(const std::vector<std::string>& patterns, const std::string& path) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& text) { return NamePattern(text, "skip").reaches(path); });
}

}  // namespace graft
