#pragma once

#include <torch/nn/module.h>

#include <filesystem>
#include <map>
#include <string>

#include "graft/adapters/adapter.h"
#include "graft/adapters/adapter_plan.h"
#include "graft/io/adapter_config.h"

namespace graft::detail {

/// A PEFT adapter directory in memory. `directory` is where the two files were found: the one asked for, or its sub-folder `name`.
struct AdapterFiles {
  std::filesystem::path directory;
  io::AdapterConfig config;
  std::map<std::string, at::Tensor> tensors;
};
/// DataError when a file is missing or malformed, or a value is not finite. Configuration warnings are logged.
AdapterFiles read_adapter_files(const std::filesystem::path& directory, const std::string& name);

/// The modules that the file has an A for, by name. DataError for a tensor of another kind than plain LoRA's.
std::vector<std::string> modules_with_factors(const AdapterFiles& files);

/// The plan of an adapter from files: what the configuration means in this model, and which tensors of the base the file changed.
AdapterPlan plan_from_files(torch::nn::Module& root, AdapterFiles* files, const std::string& name, bool trainable);

/// Checks names and shapes one to one: DataError that lists (the first ten of) what is missing, unexpected or of another shape.
/// Older spellings of PEFT's bias keys are brought to today's first.
void match_tensors(const std::vector<std::pair<std::string, std::vector<int64_t>>>& expected, AdapterFiles* files);

/// The three files into an existing directory, durable but not atomic: the caller owns the directory.
void write_adapter_files(const Adapter& adapter, const std::filesystem::path& directory);

}  // namespace graft::detail
