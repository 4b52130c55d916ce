#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "graft/base/json.h"

namespace graft::app {

/// What `graft bench train` measured once, as kept for `graft plan`.
struct BenchRecord {
  std::string device;         ///< machine_device(): a GPU's name, or the processor's
  std::string shape;          ///< as --shape had it, for people
  std::string dtype, quant;   ///< fp32 | bf16 | fp16; none | nf4
  std::string adapter_dtype;  ///< fp32 | bf16
  int64_t parameters = 0, batch = 0, sequence = 0, rank = 0, recompute_every = 0;
  bool offload = false;  ///< recomputed blocks' inputs in host memory
  double dropout = 0, supervised = 1;
  double tokens_per_second = 0;
  double flop_per_token = 0;  ///< with weights and in attention (step_flop.h)
  double share_of_gemm = 0;   ///< as `bench train` prints it
  std::string date;           ///< local, YYYY-MM-DD

  /// Everything but the result: a new measurement of the same setting replaces the old one.
  bool same_setting(const BenchRecord& other) const;
};
Json to_json(const BenchRecord& record);

/// "NVIDIA H100 80GB HBM3" for "cuda" and "cuda:N" (also "auto" where the driver has a GPU), the processor's name for "cpu". No LibTorch.
std::string machine_device(const std::string& device);

/// $GRAFT_BENCH_FILE, else bench.json in cache_home(); "" when neither is known.
std::filesystem::path bench_file();

/// What the file holds; nothing when there is none. DataError when it is no such file.
std::vector<BenchRecord> read_bench_file(const std::filesystem::path& path);

/// Adds the record, or puts it in the place of the one of its setting; the file is replaced as a whole. A damaged one is reported and begun
/// anew. IoError when it cannot be written.
void add_to_bench_file(const std::filesystem::path& path, const BenchRecord& record);

}  // namespace graft::app
