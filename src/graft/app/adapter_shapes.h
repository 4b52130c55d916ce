#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "graft/adapters/adapter_files.h"
#include "graft/app/adapter_delta.h"

namespace graft::app {

/// The tensors, by PEFT's names, that an adapter of this configuration has on this base. In a family that graft does not know, names on
/// disk do not tell what the model has (experts that it fuses, layers that it leaves out): there a module without factors in the file
/// counts as not targeted. DataError for an adapter that is not plain LoRA.
std::vector<std::pair<std::string, std::vector<int64_t>>> expected_tensors(const detail::AdapterFiles& files, const BaseTensors& base);

/// The module keeps its weight as [in, out]: GPT-2's Conv1D. PEFT decides by the module too: it corrects fan_in_fan_out where it is wrong.
bool stores_transposed(const BaseTensors& base, const std::string& module);

}  // namespace graft::app
