#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "graft/adapters/four_bit_loader.h"
#include "graft/app/packed_key.h"
#include "graft/app/packed_writer.h"
#include "graft/io/model_directory.h"
#include "graft/recipe/recipe.h"

namespace graft::app {

/// quant.cache: the packed copy of a base that a recipe quantizes while loading, read at this start or written for the next one. What is
/// read is bit for bit what quantizing gives. A damaged copy is reported once; its weights are quantized again and it is replaced.
class PackedCache final : public PackedWeights {
 public:
  /// Null when the recipe quantizes nothing, or keeps nothing. `base_fingerprint`: model_fingerprint of model.path.
  static std::shared_ptr<PackedCache> open(const recipe::Recipe& recipe, const std::string& base_fingerprint);
  PackedCache(const recipe::Recipe& recipe, const std::filesystem::path& directory, const std::string& key);

  std::optional<quant::FourBitTensor> find(const std::string& path, const std::vector<int64_t>& shape, at::Device device) override;
  void add(const std::string& path, const quant::FourBitTensor& tensor) override;

  /// After loading, and again without effect: when weights were quantized, starts to write them, in the background where the host's memory
  /// holds a second copy of a GPU's. They must not have changed since. Nothing is written after this object is gone.
  void save();
  /// Waits for the writing.
  void wait();

 private:
  void give_up(const std::string& why);
  quant::FourBitTensor checked(quant::FourBitTensor tensor, const std::string& path) const;

  PackedTarget target_;
  std::string type_, dtype_;
  bool double_quant_;
  int64_t block_;
  std::optional<PackedCopy> stored_;  // none: there is no copy, or it is damaged
  PackedList weights_;
  bool quantized_ = false;
  std::unique_ptr<PackedWriter> writer_;
};

}  // namespace graft::app
