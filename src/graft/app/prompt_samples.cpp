#include "graft/app/prompt_samples.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "graft/app/generation.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/signals.h"

namespace graft::app {

void PromptSamples::on_evaluation(const train::EvaluationRow& row) {
  const at::NoGradGuard no_gradients;
  model_.train(false);
  for (size_t i = 0; i < data_.sample_prompts.size() && SignalFlag::received() == 0; ++i) {  // a run that is to stop saves first
    const auto& [text, ids] = data_.sample_prompts[i];
    GenerationOptions options;
    options.max_new_tokens = std::min(kNewTokens, data_.decoder.max_positions - static_cast<int64_t>(ids.size()));
    const auto generated = generate(model_.decoder(), ids, options, i);
    // Quoted as JSON: a line of the log stays a line.
    log::info("step " + std::to_string(row.step) + "  sample: " + dump_json(Json(text)) + " -> " +
              dump_json(Json(new_text(*data_.tokenizer, ids, generated.ids))) + (generated.stopped ? "" : " (cut)"));
  }
  model_.train(true);
}

}  // namespace graft::app
