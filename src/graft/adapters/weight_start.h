#pragma once

#include <string>

#include "graft/adapters/adapter.h"
#include "graft/adapters/adapter_plan.h"
#include "graft/adapters/adapter_start.h"
#include "graft/adapters/target_resolution.h"

namespace graft::detail {

/// Whether this init (LoraOptions::init) takes A and B from the base's weights.
bool starts_from_weights(const std::string& init);

/// UsageError, with the module, for what cannot start so. Reads the model, changes nothing.
///   both    alpha not above 0 (the start is divided by the scale), a rank above a matrix's smaller side, a base in 4 bits without
///           `from.unquantized`
///   pissa   a rank above 2048 (what is saved has twice the rank), a base that another adapter's start was taken out of
///   loftq   no adapted module in 4 bits
void check_weight_start(const Resolution& resolution, const std::string& init, const AdapterStart& from);

/// Gives a newly installed adapter its values, module by module: s·B₀·A₀ with s the adapter's scale.
///
///   pissa  (Meng, Wang, Zhang 2024)  the nearest matrix of rank r to W. The base becomes W − s·B₀·A₀: in W's dtype, and then, where it was
///          in 4 bits, in the same 4 bits (QPiSSA). A₀ and B₀ are kept: AdapterSet::save writes a plain LoRA for W (portable.h).
///          `keep_base`: W is kept beside it where it is dense, for detach().
///   loftq  (Li et al. 2023, one round: PEFT's default)  the nearest matrix of rank r to W − Q. Q, the base in 4 bits, stays: more rounds
///          would quantize something else than W, and the adapter would fit no base but this run's. Modules that are not in 4 bits start
///          as by default.
///
/// Embeddings start as by default. DataError when a weight is not finite. When it throws, some bases are changed already.
void start_from_weights(Adapter& adapter, const AdapterPlan& plan, const std::string& init, bool keep_base, const AdapterStart& from);

}  // namespace graft::detail
