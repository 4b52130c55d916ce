#pragma once

#include <cstdint>
#include <filesystem>

#include "graft/text/tokenizer.h"

namespace graft::data {

/// The id that ends a text for this model: that of eos_token as templates see it (text::special_tokens_of), else eos_token_id
/// (the first of a list) of generation_config.json, then config.json; -1 when none of them names one.
/// DataError when an eos_token that a file gives is not in the vocabulary.
int32_t find_eos_id(const std::filesystem::path& model_directory, const text::Tokenizer& tokenizer);

/// The id rows are padded with: that of pad_token by the same rule, else 0. Padding carries neither
/// loss nor attention, so the choice cannot change a result.
int32_t find_pad_id(const std::filesystem::path& model_directory, const text::Tokenizer& tokenizer);

}  // namespace graft::data
