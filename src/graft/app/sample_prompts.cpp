#include "graft/app/sample_prompts.h"

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "graft/app/run_data.h"
#include "graft/app/template_date.h"
#include "graft/base/error.h"
#include "graft/base/files.h"

namespace graft::app {
namespace {

namespace fs = std::filesystem;

std::vector<int32_t> encode(const recipe::Recipe& recipe, const RunData& run, const std::string& prompt, bool chat) {
  if (!chat) return run.tokenizer->encode(prompt, /*add_special=*/true);
  text::RenderOptions options;
  options.add_generation_prompt = true;
  options.date = template_date(recipe.data.template_date);
  const Json messages = {{{"role", "user"}, {"content", prompt}}};
  // A template writes its own BOS.
  return run.tokenizer->encode(run.chat_template->render(messages, options).text, /*add_special=*/false);
}

void check(const recipe::Recipe& recipe, const RunData& run, const std::string& path) {
  const auto place = recipe.place_of("eval.sample_prompts");
  if (!fs::exists(path)) throw recipe::missing_path(recipe, "eval.sample_prompts", path, "file of prompts");
  if (!run.eval_plan)
    throw RecipeError("eval.sample_prompts is given, but nothing is evaluated").at(place).hint("give data.eval, or leave the prompts out");
  if (!run.tokenizer)
    throw RecipeError("eval.sample_prompts needs a tokenizer.json in the model directory").at(place).hint("leave the prompts out");
}

}  // namespace

std::vector<SamplePrompt> read_sample_prompts(const recipe::Recipe& recipe, const RunData& run) {
  const std::string& path = recipe.eval.sample_prompts;
  if (path.empty()) return {};
  check(recipe, run, path);
  std::ifstream file(path, std::ios::binary);
  if (!file || fs::is_directory(path)) throw_io_error("cannot read", path, errno != 0 ? errno : EISDIR);
  const bool chat = run.chat_template != nullptr && needs_template(recipe.data.train);
  std::vector<SamplePrompt> prompts;
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    const std::string place = path + ":" + std::to_string(number);
    try {
      prompts.push_back({line, encode(recipe, run, line, chat)});
    } catch (const Error& error) {
      throw DataError(error.message()).at(place).hint(error.hint());
    }
    const auto length = static_cast<int64_t>(prompts.back().ids.size());
    if (length == 0 || length >= run.decoder.max_positions)
      throw DataError("the prompt has " + std::to_string(length) + " tokens; the model has " + std::to_string(run.decoder.max_positions) +
                      " positions")
          .at(place)
          .hint("leave room for an answer");
  }
  if (file.bad()) throw_io_error("cannot read", path, errno);
  if (prompts.empty()) throw DataError("there is no prompt in this file").at(path).hint("one prompt a line");
  return prompts;
}

}  // namespace graft::app
