// graft generate: continues prompts, one at a time, with a key-value cache.
#include <ATen/core/grad_mode.h>

#include <iostream>

#include "graft/app/generation.h"
#include "graft/app/input_lines.h"
#include "graft/app/job_model.h"
#include "graft/app/jobs.h"
#include "graft/app/json_lines.h"
#include "graft/app/template_date.h"
#include "graft/base/error.h"
#include "graft/base/log.h"

namespace graft::app {
namespace {

struct Prompt {
  std::vector<int32_t> ids;
  std::string place;
};

void check(const Prompt& prompt, const JobRequest& request, const models::DecoderOptions& options) {
  if (prompt.ids.empty()) throw DataError("the prompt has no tokens").at(prompt.place).hint("give at least one character");
  models::check_ids(prompt.ids, options.vocabulary_size, prompt.place);
  const auto length = static_cast<int64_t>(prompt.ids.size());
  if (length > options.max_positions) {
    throw DataError("the prompt has " + std::to_string(length) + " tokens but the model allows " + std::to_string(options.max_positions) +
                    " positions")
        .at(prompt.place)
        .hint("shorten the prompt");
  }
}

/// All prompts, encoded and checked: an error is found before the weights are read and before anything is printed.
std::vector<Prompt> read_prompts(const JobRequest& request, const models::DecoderOptions& options, Encoder* encoder) {
  std::vector<Prompt> prompts;
  if (request.prompt) {
    prompts.push_back({encoder->encode_text(*request.prompt), "--prompt"});
  } else if (!request.chat_file.empty()) {
    auto chat = read_json(request.chat_file);
    if (chat.is_array()) chat = Json{{"messages", std::move(chat)}};
    prompts.push_back({encoder->encode(chat, /*add_generation_prompt=*/true, request.chat_file), request.chat_file});
  } else {
    for_each_json_line(request.input, [&](const Json& line, const std::string& place) {
      prompts.push_back({encoder->encode(line, true, place), place});
    });
  }
  for (const auto& prompt : prompts) check(prompt, request, options);
  return prompts;
}

void print(const Prompt& prompt, const Generated& generated, const std::string& text, bool json) {
  if (!json) {
    std::cout << text << std::endl;
    return;
  }
  Json document;
  document["prompt_tokens"] = prompt.ids.size();
  document["tokens"] = generated.ids;
  document["text"] = text;
  document["finish_reason"] = generated.stopped ? "stop" : "length";
  std::cout << dump_json(document) << std::endl;
}

void warn_about_length(const Prompt& prompt, const Generated& generated, const models::DecoderOptions& options) {
  const auto length = static_cast<int64_t>(prompt.ids.size() + generated.ids.size());
  if (length > options.max_positions)
    log::warning(prompt.place + ": prompt and answer have " + std::to_string(length) + " tokens; the model was made for " +
                 std::to_string(options.max_positions));
}

}  // namespace

int run_generate_job(const JobRequest& request) {
  const at::NoGradGuard no_gradients;
  Encoder encoder(request.model, request.adapter, template_date(request.template_date));
  const auto model = read_options(request);
  const auto prompts = read_prompts(request, model, &encoder);
  encoder.tokenizer();  // the answer needs it; a missing one is found now
  auto decoder = load_job_model(request);
  const GenerationOptions options{request.max_new_tokens, {request.temperature, request.top_p}, request.seed};
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto generated = generate(decoder, prompts[i].ids, options, i);
    warn_about_length(prompts[i], generated, model);
    print(prompts[i], generated, new_text(encoder.tokenizer(), prompts[i].ids, generated.ids), request.common.json);
  }
  return 0;
}

}  // namespace graft::app
