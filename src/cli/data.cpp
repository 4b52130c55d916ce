#include <unistd.h>

#include <iostream>
#include <memory>

#include "cli/command.h"
#include "graft/app/data_inspect.h"
#include "graft/base/log.h"

namespace graft::cli {
namespace {

bool color_on_stdout(const std::string& choice) {
  return choice == "always" || (choice == "auto" && ::isatty(STDOUT_FILENO) == 1 && log::use_color());
}

}  // namespace

void add_data(CLI::App& root, Invocation& invocation) {
  struct Arguments {
    std::string recipe;
    std::vector<std::string> overrides;
    int64_t limit = 5;
  };
  CLI::App* group = root.add_subcommand("data", "look at training data the way training sees it");
  group->require_subcommand(0, 1);
  auto arguments = std::make_shared<Arguments>();
  CLI::App* inspect =
      add_command(*group, invocation, "inspect", "samples as trained on: text, ids, which tokens carry loss", [arguments, &invocation] {
        const auto recipe = recipe::load_recipe(arguments->recipe, arguments->overrides, invocation.common.device, invocation.common.dtype);
        app::inspect_data(recipe, arguments->limit, invocation.common.json, color_on_stdout(invocation.color), std::cout);
        return 0;
      });
  inspect->add_option("RECIPE", arguments->recipe, "recipe file")->required();
  inspect->add_option("OVERRIDES", arguments->overrides, "key.path=value or ~key.path");
  inspect->add_option("--limit", arguments->limit, "how many samples")->check(CLI::Range(1, 1 << 30))->capture_default_str();
}

}  // namespace graft::cli
