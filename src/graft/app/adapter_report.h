#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace graft::app {

/// `graft adapter inspect DIR`: what an adapter directory holds.
void print_adapter_facts(const std::string& directory, bool json, std::ostream& out);

/// `graft adapter check DIR --for …`: what each consumer would refuse or compute differently. model: its base's directory, or "".
/// Returns whether nothing blocks.
bool print_adapter_check(const std::string& directory, const std::vector<std::string>& consumers, const std::string& model, bool json,
                         std::ostream& out);

}  // namespace graft::app
