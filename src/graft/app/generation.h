#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graft/app/sampler.h"
#include "graft/models/decoder.h"
#include "graft/text/tokenizer.h"

namespace graft::app {

struct GenerationOptions {
  int64_t max_new_tokens = 128;
  SamplingOptions sampling;
  uint64_t seed = 0;  ///< with `number` below, of the random stream that sampling draws from
};

struct Generated {
  std::vector<int32_t> ids;  ///< the end-of-text token included
  bool stopped = false;      ///< by that token, not by the limit
};

/// Continues one prompt [at least one id], token by token with a key-value cache, until an end-of-text token of the model. `number`: which
/// of several prompts it is. No gradients may be recorded.
Generated generate(models::Decoder& decoder, const std::vector<int32_t>& prompt, const GenerationOptions& options, uint64_t number);

/// The text that the new tokens add to the prompt's: what a decoder drops at the start of a text (a space) is kept.
std::string new_text(const text::Tokenizer& tokenizer, const std::vector<int32_t>& prompt, const std::vector<int32_t>& added);

}  // namespace graft::app
