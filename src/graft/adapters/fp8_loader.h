#pragma once

#include <memory>

#include "graft/adapters/quantize.h"
#include "graft/io/linear_loader.h"

namespace graft {

/// For LoadOptions::linears: every Linear below the output head that the options do not skip is stored in FP8, layer by layer, as it comes
/// from disk (cast to the model's dtype first). The largest amount of memory taken is that of the FP8 model plus one weight.
std::shared_ptr<const io::LinearLoader> fp8_loader(const Fp8Options& how = {});

}  // namespace graft
