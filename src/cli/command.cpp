#include "cli/command.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/base/version.h"

namespace graft::cli {
namespace {

// float32 and fp32 are the same word; the job sees the short one.
std::string short_dtype(std::string name) {
  if (name == "float32") return "fp32";
  if (name == "bfloat16") return "bf16";
  if (name == "float16") return "fp16";
  return name;
}

std::string check_device(const std::string& value) {
  if (value == "auto" || value == "cpu" || value == "cuda") return "";
  if (starts_with(value, "cuda:") && value.size() > 5 && value.find_first_not_of("0123456789", 5) == std::string::npos) return "";
  return "device is auto, cpu, cuda or cuda:N, not '" + value + "'";
}

}  // namespace

CLI::App* add_command(CLI::App& parent, Invocation& invocation, const std::string& name, const std::string& summary,
                      std::function<int()> run) {
  CLI::App* command = parent.add_subcommand(name, summary);
  auto& common = invocation.common;
  command->add_flag("--json", common.json, "one JSON document on stdout");
  command->add_flag("--quiet", common.quiet, "only warnings and errors on stderr");
  command->add_flag("--verbose", common.verbose, "more on stderr");
  command->add_option("--color", invocation.color, "colours on stderr: auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  command->add_option("--device", common.device, "auto, cpu, cuda or cuda:N")->check(CLI::Validator(check_device, "DEVICE"));
  command->add_option("--dtype", common.dtype, "float32, bfloat16 or float16 (also fp32, bf16, fp16)")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16", "fp32", "bf16", "fp16"}))
      ->transform([](std::string value) { return short_dtype(std::move(value)); }, "", "");
  command->set_version_flag("--version", std::string("graft ") + kVersion);
  command->callback([&invocation, run = std::move(run)] { invocation.run = run; });
  return command;
}

CLI::Validator non_empty() {
  return CLI::Validator([](const std::string& value) { return value.empty() ? std::string("a path must not be empty") : std::string(); },
                        "PATH");
}

void require_path(const std::string& path, const std::string& option) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::exists(path, ignored)) return;
  const fs::path absolute = fs::absolute(path, ignored);
  std::vector<std::string> neighbours;
  for (const auto& entry : fs::directory_iterator(absolute.parent_path(), ignored)) neighbours.push_back(entry.path().filename().string());
  throw UsageError(option + ": there is no such file or directory")
      .at(absolute.string())
      .nearest(nearest_name(absolute.filename().string(), neighbours));
}

}  // namespace graft::cli
