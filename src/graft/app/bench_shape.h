#pragma once

#include <string>

#include "graft/models/decoder_options.h"

namespace graft::app {

/// What `bench --shape` names: llama-8b (Llama 3.1), llama-1b (Llama 3.2), llama-70b (Llama 3.1), a config.json under any file name, or a
/// model directory (of which only config.json is read). UsageError naming the nearest shape when it is none of them.
models::DecoderOptions bench_shape(const std::string& name);

}  // namespace graft::app
