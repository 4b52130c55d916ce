#include <memory>

#include "cli/command.h"
#include "cli/job_library.h"
#include "graft/base/signals.h"

namespace graft::cli {

void add_train(CLI::App& root, Invocation& invocation) {
  auto request = std::make_shared<app::JobRequest>();
  auto* command = add_command(root, invocation, "train", "run a recipe: train an adapter", [request, &invocation] {
    hold_signals();
    request->command = "train";
    request->common = invocation.common;
    return run_job(*request);
  });
  command->add_option("RECIPE", request->recipe, "recipe file")->required();
  command->add_option("OVERRIDES", request->overrides, "key.path=value sets a recipe key, ~key.path resets it to its default");
  command->footer("Example: graft train recipes/quickstart.yaml train.steps=100 adapter.rank=8\nKeys: graft recipe explain");
}

}  // namespace graft::cli
