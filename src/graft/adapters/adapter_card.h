#pragma once

#include <string>

#include "graft/io/adapter_config.h"

namespace graft::detail {

/// README.md of an adapter directory: the YAML header that hubs read, and how to load it.
std::string adapter_card(const io::AdapterConfig& config);

}  // namespace graft::detail
