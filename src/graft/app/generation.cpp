#include "graft/app/generation.h"

#include <ATen/ops/tensor.h>

#include <algorithm>

#include "graft/base/strings.h"

namespace graft::app {
namespace {

int32_t next_token(models::Decoder& decoder, const std::vector<int32_t>& ids, models::KeyValueCache* cache, const SamplingOptions& sampling,
                   RandomStream& stream) {
  const auto input = at::tensor(at::ArrayRef<int32_t>(ids), at::kLong).unsqueeze(0).to(decoder->device());
  const auto hidden = decoder->hidden_states(input, {}, cache);
  return sample(decoder->logits(hidden.select(1, hidden.size(1) - 1))[0], sampling, stream);
}

}  // namespace

Generated generate(models::Decoder& decoder, const std::vector<int32_t>& prompt, const GenerationOptions& options, uint64_t number) {
  const auto& eos = decoder->options().eos_ids;
  models::KeyValueCache cache(decoder->options().layers);
  RandomStream stream(options.seed, "generate", number);
  Generated result;
  std::vector<int32_t> input = prompt;
  while (static_cast<int64_t>(result.ids.size()) < options.max_new_tokens && !result.stopped) {
    const int32_t id = next_token(decoder, input, &cache, options.sampling, stream);
    result.ids.push_back(id);
    result.stopped = std::find(eos.begin(), eos.end(), id) != eos.end();
    input = {id};
  }
  return result;
}

std::string new_text(const text::Tokenizer& tokenizer, const std::vector<int32_t>& prompt, const std::vector<int32_t>& added) {
  const auto before = tokenizer.decode(prompt, /*skip_special=*/true);
  auto all = prompt;
  all.insert(all.end(), added.begin(), added.end());
  const auto text = tokenizer.decode(all, /*skip_special=*/true);
  return starts_with(text, before) ? text.substr(before.size()) : tokenizer.decode(added, /*skip_special=*/true);
}

}  // namespace graft::app
