#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "graft/app/job.h"

namespace graft::cli {

/// What the chosen subcommand wants to run, and the options all of them share.
struct Invocation {
  app::CommonOptions common;
  std::string color = "auto";
  std::function<int()> run;
};

/// Adds --json, --quiet, --verbose, --color, --device, --dtype to a subcommand and makes `run` what happens when it is chosen.
CLI::App* add_command(CLI::App& parent, Invocation& invocation, const std::string& name, const std::string& summary,
                      std::function<int()> run);

// One function per subcommand, each in the file of its name.
void add_train(CLI::App& root, Invocation& invocation);
void add_plan(CLI::App& root, Invocation& invocation);
void add_resume(CLI::App& root, Invocation& invocation);
void add_generate(CLI::App& root, Invocation& invocation);
void add_eval(CLI::App& root, Invocation& invocation);
void add_score(CLI::App& root, Invocation& invocation);
void add_tokenize(CLI::App& root, Invocation& invocation);
void add_merge(CLI::App& root, Invocation& invocation);
void add_quantize(CLI::App& root, Invocation& invocation);
void add_adapter(CLI::App& root, Invocation& invocation);
void add_data(CLI::App& root, Invocation& invocation);
void add_recipe(CLI::App& root, Invocation& invocation);
void add_bench(CLI::App& root, Invocation& invocation);
void add_doctor(CLI::App& root, Invocation& invocation);

/// For options that name what is written: "" would end deep in the file system.
CLI::Validator non_empty();

/// UsageError unless the path exists; the text names the option, the absolute path and a near name in the same directory.
void require_path(const std::string& path, const std::string& option);

}  // namespace graft::cli
