#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace graft::app {

/// What a merge did, and what rounding took from the adapter's effect.
struct MergeReport {
  int64_t merged_modules = 0;       ///< weights that had a low-rank update added
  int64_t replaced_tensors = 0;     ///< biases and modules_to_save
  int64_t dequantized_modules = 0;  ///< weights that the base holds in 4 bits and the result does not
  bool untied = false;              ///< the output head became a tensor of its own
  /// Root mean square of (rounded sum − exact sum) over that of s·B·A: 0 = nothing lost, 1 = the update drowned in rounding.
  double loss = 0;
  double worst_loss = 0;  ///< of the worst module
  std::string worst_module;
};

/// Folds an adapter into its base: a standalone model directory with the base's files and W + s·B·A, summed in float32 and rounded
/// once. Streams tensor by tensor: peak memory is one tensor in float32. Works from the files alone, for any architecture whose
/// tensors are named as the adapter's modules are. A tied output head that the adapter changes on one side only is untied.
/// A base stored in 4 bits gives a plain model: the update is added to the weights that its codes stand for.
/// The adapter is checked against its own configuration and the base as when it is loaded; its chat template takes the place of the base's.
/// dtype: "" keeps what is on disk (for 4-bit weights, the dtype they decode to); fp32 | bf16 | fp16. InUseError when `output` holds files
/// already; DataError when the adapter's tensors are not those that its configuration means on this base.
MergeReport merge_adapter(const std::filesystem::path& model, const std::filesystem::path& adapter, const std::filesystem::path& output,
                          const std::string& dtype);

}  // namespace graft::app
