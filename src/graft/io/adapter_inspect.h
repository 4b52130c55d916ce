#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "graft/io/adapter_config.h"
#include "graft/io/adapter_key.h"
#include "graft/io/safetensors.h"

namespace graft::io {

/// One adapted module: its A and B as the file's header describes them.
struct AdapterModule {
  std::string name;  ///< full path in the base model
  bool embedding = false;
  std::vector<int64_t> a_shape, b_shape;  ///< [rank, in] and [out, rank]; empty when that half is missing
  DType dtype = DType::kF32;              ///< A's, or B's when A is missing
  int64_t rank = 0;                       ///< rows of A; columns of B when A is missing; 0 when neither is a matrix
  double alpha = 0;                       ///< by the config's alpha_pattern
  /// alpha / rank, or alpha / sqrt(rank) with use_rslora. The twin of a tied embedding (ensure_weight_tying) has the embedding's factors
  /// and divides by the rank that the configuration gives its own name.
  double scale = 0;
  int64_t parameters = 0;
};

/// A tensor that replaces one of the base's: a bias, an embedding saved with its adapter, a module of modules_to_save.
struct AdapterWhole {
  AdapterKey key;
  std::string name;  ///< in the file
  std::vector<int64_t> shape;
  DType dtype = DType::kF32;
};

/// What an adapter directory holds, from adapter_config.json and the tensor file's header. No tensor data is read.
struct AdapterFacts {
  std::filesystem::path directory;
  AdapterConfig config;
  std::vector<AdapterModule> modules;  ///< by name
  std::vector<AdapterWhole> whole;     ///< in the file's order
  std::vector<std::string> odd;        ///< tensors that are none of these (DoRA magnitudes, foreign names), as named in the file
  /// What is wrong with the file, one text each, beginning with the tensor or module: a missing half, shapes that do not fit, a rank
  /// other than the config's, an odd tensor, a module the config does not target.
  std::vector<std::string> problems;
  std::vector<std::string> warnings;  ///< from reading the config; tensors trained whole that modules_to_save does not name
  int64_t parameters = 0;             ///< all elements in the file
  uint64_t bytes = 0;                 ///< the tensors' bytes
  std::vector<std::string> dtypes;    ///< each once, as on disk
};

/// UsageError when the directory does not exist; DataError when a file is missing or malformed. Contradictions between them that a
/// loader would stumble over are `problems`, not errors.
AdapterFacts inspect_adapter(const std::filesystem::path& directory);

/// DIR/adapter_model.safetensors, checked; DataError with advice when it is not there (pickle files are never opened).
std::filesystem::path adapter_weights_file(const std::filesystem::path& directory);

/// "[8, 64]".
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace graft::io
