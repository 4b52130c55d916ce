#include <memory>

#include "cli/command.h"
#include "cli/job_library.h"

namespace graft::cli {

void add_bench(CLI::App& root, Invocation& invocation) {
  CLI::App* group = root.add_subcommand("bench", "speed and memory of training on this machine, with random weights");
  group->require_subcommand(0, 1);
  auto options = std::make_shared<app::BenchOptions>();
  auto* command = add_command(*group, invocation, "train", "optimizer steps as `graft train` runs them", [options, &invocation] {
    app::JobRequest request;
    request.command = "bench-train";
    request.common = invocation.common;
    request.bench = *options;
    return run_job(request);
  });
  constexpr int64_t kMost = 1 << 24;
  command->add_option("--shape", options->shape, "llama-8b, llama-1b, llama-70b, a config.json or a model directory")->required();
  command->add_option("--batch", options->batch, "rows of a step")->required()->check(CLI::Range(int64_t{1}, kMost));
  command->add_option("--seq", options->sequence, "tokens of a row")->required()->check(CLI::Range(int64_t{2}, kMost));
  command->add_option("--rank", options->rank, "of the adapter; alpha is twice that")->required()->check(CLI::Range(1, 4096));
  command->add_option("--quant", options->quant, "how the base is stored: none, nf4 or fp8")->check(CLI::IsMember({"none", "nf4", "fp8"}));
  command->add_option("--recompute", options->recompute, "activations computed again in backward: none, full or auto")
      ->check(CLI::IsMember({"none", "full", "auto"}));
  command->add_flag("--offload", options->offload, "the inputs of recomputed layers wait in pinned host memory; needs a GPU");
  command->add_option("--adapter-dtype", options->adapter_dtype, "of the trained tensors: fp32 or bf16")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  command->add_option("--dropout", options->dropout, "of the adapter's inputs, in [0, 1)")->check(CLI::Range(0.0, 0.999));
  command->add_option("--supervised", options->supervised, "share of a row's tokens that carry loss, at its end")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--documents", options->documents, "pack each row with documents of mixed length, this many tokens on average")
      ->check(CLI::Range(int64_t{1}, kMost));
  command->add_option("--steps", options->steps, "steps that are timed")->check(CLI::Range(int64_t{1}, kMost));
  command->add_option("--warmup", options->warmup, "steps before them")->check(CLI::Range(int64_t{0}, kMost));
  command->add_option("--profile", options->profile, "write a Chrome trace of the last step to this file");
}

}  // namespace graft::cli
