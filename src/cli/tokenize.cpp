#include <iostream>
#include <memory>

#include "cli/command.h"
#include "cli/model_options.h"
#include "graft/app/tokenize.h"
#include "graft/base/error.h"

namespace graft::cli {

void add_tokenize(CLI::App& root, Invocation& invocation) {
  auto options = std::make_shared<app::TokenizeOptions>();
  auto text = std::make_shared<std::string>();
  auto* command = add_command(root, invocation, "tokenize", "text to token ids and back, exactly as in training", nullptr);
  command->add_option("--model", options->model, "model directory (or a tokenizer.json)")->required();
  auto* file = command->add_option("--file", options->file,
                                   "JSONL file: {\"text\":…} or {\"messages\":[…],\"add_generation_prompt\":bool} per line; with --decode: "
                                   "one JSON array of ids per line");
  auto* direct = command->add_option("TEXT", *text, "the text itself; with --decode a JSON array of ids");
  direct->excludes(file);
  add_template_date(command, options->template_date);
  command->add_flag("--no-special", options->no_special, "leave out what the post-processor adds (BOS and the like)");
  command->add_flag("--decode", options->decode, "from ids to text; special tokens are kept");
  command->callback([options, text, file, direct, &invocation] {
    invocation.run = [=] {
      require_path(options->model, "--model");
      if (file->count() + direct->count() == 0) throw UsageError("nothing to tokenize").hint("give TEXT or --file FILE.jsonl");
      if (file->count() > 0) require_path(options->file, "--file");
      if (direct->count() > 0) options->text = *text;
      app::tokenize(*options, std::cout);
      return 0;
    };
  });
}

}  // namespace graft::cli
