#pragma once

#include "graft/models/family.h"

/// One function per file of this folder. A new family is one such file, one line here and one in registry.cpp.
namespace graft::models {

Family llama_family();
Family mistral_family();
Family qwen2_family();
Family qwen3_family();

/// Qwen's spelling of sliding windows (use_sliding_window, max_window_layers, layer_types), shared by its generations.
void read_qwen_windows(const io::ConfigReader& config, DecoderOptions* decoder);

}  // namespace graft::models
