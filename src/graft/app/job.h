#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace graft::app {

/// Options every command shares.
struct CommonOptions {
  bool json = false, quiet = false, verbose = false;
  std::string device;  ///< "" | auto | cpu | cuda | cuda:N
  std::string dtype;   ///< "" | fp32 | bf16 | fp16 (already normalised)
};

/// `bench train`.
struct BenchOptions {
  std::string shape;  ///< a built-in name, a config.json or a model directory
  int64_t batch = 1, sequence = 1024, rank = 16;
  std::string quant = "none";      ///< none | nf4 | fp8
  std::string recompute = "none";  ///< none | full | auto
  bool offload = false;            ///< the inputs of recomputed blocks wait in host memory
  std::string adapter_dtype = "fp32";
  double dropout = 0;
  double supervised = 1;  ///< share of a row's tokens that carry loss, at its end
  int64_t documents = 0;  ///< mean length of the documents that each row is packed with, of 1 to twice as many tokens; 0: one a row
  int64_t warmup = 5, steps = 20;
  std::string profile;  ///< file for a trace of the last step; "" = none
};

/// What the command line hands to the job library (libgraft_app.so). Plain data, no LibTorch: the executable opens the library
/// only when a job needs tensors.
struct JobRequest {
  std::string command;  ///< train | resume | generate | eval | score | merge | quantize | doctor | bench-train
  CommonOptions common;
  std::string recipe;                  ///< train
  std::vector<std::string> overrides;  ///< train: key=value and ~key
  std::string run_directory;           ///< resume
  std::string model, adapter;          ///< directories; adapter may be ""
  std::string data, format;            ///< eval
  int64_t max_length = 0;              ///< eval; 0: the model's
  std::string template_date;           ///< generate, eval, score: what strftime_now sees; "": today
  std::string input, output;           ///< generate --input, score, merge, quantize
  std::optional<std::string> prompt;   ///< generate
  std::string chat_file;               ///< generate
  int64_t max_new_tokens = 128;
  double temperature = 0, top_p = 1;
  uint64_t seed = 42;
  bool logits = false;        ///< score
  std::string quant_type;     ///< quantize: nf4 | fp4
  bool double_quant = false;  ///< quantize
  int64_t block = 64;         ///< quantize
  BenchOptions bench;
};

}  // namespace graft::app

/// The one function the executable looks up. Reports errors itself; returns the process's exit code.
extern "C" int graft_run_job(const graft::app::JobRequest* request);
