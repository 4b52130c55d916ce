#include <iostream>
#include <memory>

#include "cli/command.h"
#include "graft/app/adapter_report.h"
#include "graft/base/error.h"

namespace graft::cli {

void add_adapter(CLI::App& root, Invocation& invocation) {
  struct Arguments {
    std::string directory, model;
    std::vector<std::string> consumers;
  };
  CLI::App* group = root.add_subcommand("adapter", "facts about an adapter directory, and who can load it");
  group->require_subcommand(0, 1);
  auto arguments = std::make_shared<Arguments>();

  add_command(*group, invocation, "inspect", "ranks, shapes, sizes, odd tensors",
              [arguments, &invocation] {
                require_path(arguments->directory, "DIR");
                app::print_adapter_facts(arguments->directory, invocation.common.json, std::cout);
                return 0;
              })
      ->add_option("DIR", arguments->directory, "adapter directory")
      ->required();

  CLI::App* check =
      add_command(*group, invocation, "check", "what a consumer would refuse or compute differently, and why", [arguments, &invocation] {
        require_path(arguments->directory, "DIR");
        if (!arguments->model.empty()) require_path(arguments->model, "--model");
        const bool ok =
            app::print_adapter_check(arguments->directory, arguments->consumers, arguments->model, invocation.common.json, std::cout);
        return ok ? 0 : static_cast<int>(ExitCode::kData);
      });
  check->add_option("DIR", arguments->directory, "adapter directory")->required();
  check->add_option("--for", arguments->consumers, "peft, vllm, llama.cpp, sglang, ollama; several with commas")
      ->required()
      ->delimiter(',');
  check->add_option("--model", arguments->model, "the base's directory, for the rules that need its shapes");
}

}  // namespace graft::cli
