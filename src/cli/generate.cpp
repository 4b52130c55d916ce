#include <charconv>
#include <cmath>
#include <memory>

#include "cli/command.h"
#include "cli/job_library.h"
#include "cli/model_options.h"
#include "graft/base/error.h"

namespace graft::cli {
namespace {

/// A number that CLI11 would wrap around or cut off in silence.
std::string check_seed(const std::string& text) {
  uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  return error == std::errc() && end == text.data() + text.size() ? "" : "a seed is a whole number from 0 to 2^64 - 1, not '" + text + "'";
}

}  // namespace

void add_generate(CLI::App& root, Invocation& invocation) {
  auto request = std::make_shared<app::JobRequest>();
  auto prompt = std::make_shared<std::string>();
  auto* command = add_command(root, invocation, "generate", "write text with a model and an adapter", nullptr);
  add_model_options(command, *request);
  add_template_date(command, request->template_date);
  auto* prompt_option = command->add_option("--prompt", *prompt, "text to continue");
  auto* chat = command->add_option("--chat", request->chat_file, "JSON file with a list of messages");
  auto* input = command->add_option("--input", request->input,
                                    "JSONL file: {\"prompt\":…}, {\"text\":…}, {\"tokens\":[…]} or {\"messages\":[…]} per line");
  prompt_option->excludes(chat)->excludes(input);
  chat->excludes(input);
  command->add_option("--max-new-tokens", request->max_new_tokens, "stop after this many tokens")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command->add_option("--temperature", request->temperature, "0 is greedy")->check(CLI::Range(0.0, 1000.0))->capture_default_str();
  command->add_option("--top-p", request->top_p, "keep the smallest set of tokens with this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", request->seed, "seed of the sampling")->check(CLI::Validator(check_seed, "NUMBER"))->capture_default_str();
  command->callback([request, prompt, prompt_option, chat, input, &invocation] {
    invocation.run = [=, &invocation] {
      check_model_options(*request);
      if (std::isnan(request->temperature) || std::isnan(request->top_p))
        throw UsageError("--temperature and --top-p are numbers, not nan").hint("0 is greedy; --top-p 1 keeps every token");
      if (prompt_option->count() + chat->count() + input->count() == 0)
        throw UsageError("nothing to continue").hint("give --prompt TEXT, --chat FILE.json or --input FILE.jsonl");
      if (prompt_option->count() > 0) request->prompt = *prompt;
      if (chat->count() > 0) require_path(request->chat_file, "--chat");
      if (input->count() > 0) require_path(request->input, "--input");
      request->command = "generate";
      request->common = invocation.common;
      return run_job(*request);
    };
  });
}

}  // namespace graft::cli
