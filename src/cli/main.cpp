// graft: the command line. Parses, answers what needs no tensor, and hands the rest to the job library.
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "cli/command.h"
#include "graft/base/error.h"
#include "graft/base/filesystem_error.h"
#include "graft/base/log.h"
#include "graft/base/lost_mapping.h"
#include "graft/base/process_start.h"
#include "graft/base/strings.h"
#include "graft/base/version.h"

namespace graft::cli {
namespace {

constexpr int code(ExitCode exit_code) { return static_cast<int>(exit_code); }

void add_all(CLI::App& root, Invocation& invocation) {
  add_train(root, invocation);
  add_plan(root, invocation);
  add_resume(root, invocation);
  add_generate(root, invocation);
  add_eval(root, invocation);
  add_score(root, invocation);
  add_tokenize(root, invocation);
  add_merge(root, invocation);
  add_quantize(root, invocation);
  add_adapter(root, invocation);
  add_data(root, invocation);
  add_recipe(root, invocation);
  add_bench(root, invocation);
  add_doctor(root, invocation);
}

// The deepest subcommand that was recognised: its names are the ones a misspelling was meant to be.
const CLI::App* deepest(const CLI::App* app) {
  const auto chosen = app->get_subcommands();
  return chosen.empty() ? app : deepest(chosen.back());
}

int report_usage(const CLI::App& root, const CLI::ParseError& error, int argc, char** argv) {
  const CLI::App* command = deepest(&root);
  std::vector<std::string> names;
  for (const CLI::App* sub : command->get_subcommands([](const CLI::App*) { return true; })) names.push_back(sub->get_name());
  for (const CLI::Option* option : command->get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  std::string wrong, message = error.what();
  for (int i = 1; i < argc && wrong.empty(); ++i) {
    const std::string word = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    const bool known = std::find(names.begin(), names.end(), word) != names.end() || word == command->get_name();
    if (known) continue;
    // A misspelt option often shows as another option that is missing: name the cause.
    if (starts_with(word, "--") && word.size() > 2)
      wrong = word, message = "unknown option " + word;
    else if (message.find(word) != std::string::npos)
      wrong = word;
  }
  std::string path = command->get_name();
  for (const CLI::App* parent = command->get_parent(); parent != nullptr; parent = parent->get_parent())
    path = parent->get_name() + " " + path;
  log::error(UsageError(message).nearest(wrong.empty() ? "" : nearest_name(wrong, names)).hint(path + " --help").what());
  return code(ExitCode::kUsage);
}

int report(const Error& error) {
  log::error(error.what());
  return code(error.code());
}

void apply_common(const Invocation& invocation) {
  log::set_level(invocation.common.quiet ? log::Level::kQuiet : invocation.common.verbose ? log::Level::kVerbose : log::Level::kNormal);
  log::set_color(invocation.color == "always" ? log::Color::kAlways : invocation.color == "never" ? log::Color::kNever : log::Color::kAuto);
}

int run(int argc, char** argv) {
  CLI::App root("graft: fine-tune language models with low-rank adapters", "graft");
  root.set_version_flag("--version", std::string("graft ") + kVersion);
  root.require_subcommand(0, 1);
  root.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  Invocation invocation;
  add_all(root, invocation);
  try {
    root.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return root.exit(success);
  } catch (const CLI::ParseError& error) {
    return report_usage(root, error, argc, argv);
  }
  if (!invocation.run) {
    const CLI::App* command = deepest(&root);
    std::cout << command->help();
    return code(ExitCode::kUsage);
  }
  apply_common(invocation);
  return invocation.run();
}

}  // namespace
}  // namespace graft::cli

int main(int argc, char** argv) {
  graft::start_process();
  graft::end_on_lost_mapping();
  try {
    const int result = graft::cli::run(argc, argv);
    std::cout.flush();
    if (!std::cout) throw graft::IoError("cannot write to stdout");
    return result;
  } catch (const graft::Error& error) {
    return graft::cli::report(error);
  } catch (const std::filesystem::filesystem_error& error) {
    return graft::cli::report(graft::io_error(error));
  } catch (const std::bad_alloc&) {
    return graft::cli::report(graft::InternalError("out of memory").hint("close other programs or use a smaller input"));
  } catch (const std::exception& error) {
    return graft::cli::report(graft::InternalError(std::string("unexpected: ") + error.what())
                                  .hint("this is a bug in graft; please report it with the command line"));
  }
}
