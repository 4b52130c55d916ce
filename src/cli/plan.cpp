#include <iostream>
#include <memory>

#include "cli/command.h"
#include "graft/app/cuda_driver.h"
#include "graft/app/plan.h"
#include "graft/app/time_estimate.h"

namespace graft::cli {
namespace {

struct Arguments {
  std::string recipe;
  std::vector<std::string> overrides;
};

// As resolve_device decides at run time, without opening LibTorch.
bool would_use_gpu(const std::string& device) { return device == "auto" ? !app::ask_driver().gpus.empty() : device != "cpu"; }

int run_plan(const Arguments& arguments, const app::CommonOptions& common) {
  const auto recipe = recipe::load_recipe(arguments.recipe, arguments.overrides, common.device, common.dtype);
  const auto data = app::load_run_data(recipe);
  auto plan = app::make_plan(recipe, data, would_use_gpu(recipe.runtime.device));
  app::check_budget(recipe, plan);
  app::add_time(recipe, data, &plan);
  if (common.json)
    std::cout << dump_json(app::plan_json(recipe, plan), 2) << '\n';
  else
    std::cout << app::plan_text(recipe, plan);
  return 0;
}

}  // namespace

void add_plan(CLI::App& root, Invocation& invocation) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = add_command(root, invocation, "plan", "what a recipe will do: samples, steps, memory; loads nothing",
                                  [arguments, &invocation] { return run_plan(*arguments, invocation.common); });
  command->add_option("RECIPE", arguments->recipe, "recipe file, or the name of a shipped one")->required();
  command->add_option("OVERRIDES", arguments->overrides, "key.path=value or ~key.path");
}

}  // namespace graft::cli
