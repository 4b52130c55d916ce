#pragma once

#include <filesystem>
#include <string>

#include "graft/models/decoder.h"

namespace graft {

/// Writes config.json and model.safetensors under Hugging Face's names, so that transformers and load_model read the directory (which
/// must exist; write into an io::AtomicDirectory for an all-or-nothing result). `config_text` is the config.json the decoder was
/// made from; its dtype becomes the decoder's and, when the head is tied, no lm_head.weight is written. Streams one tensor at a time.
/// An adapted decoder must be merged or detached first: its weights are not tensors that can be written.
void save_model(const models::Decoder& decoder, const std::filesystem::path& directory, const std::string& config_text);

}  // namespace graft
