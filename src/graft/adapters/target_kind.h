#pragma once

#include <string>
#include <vector>

namespace graft::detail {

/// Targets by kind instead of by name: "all-linear", "attention", "mlp". No LibTorch: `plan` counts with it.
const std::vector<std::string>& target_kinds();
bool is_target_kind(const std::string& entry);

/// Whether a Linear at this path is of the kind. "attention" and "mlp" go by the words people use for the two halves of a transformer
/// block, in any part of the path; a path that names both belongs to attention. "all-linear" is every path (the caller leaves out
/// a causal language model's output head).
bool path_is_of_kind(const std::string& kind, const std::string& path);

}  // namespace graft::detail
