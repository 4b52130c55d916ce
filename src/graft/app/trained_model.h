#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "graft/adapters/adapter_set.h"
#include "graft/app/packed_cache.h"
#include "graft/app/run_data.h"
#include "graft/models/decoder.h"
#include "graft/recipe/recipe.h"
#include "graft/train/trainer.h"

namespace graft::app {

/// A recipe's model with what is trained of it: an adapter on a frozen base, or all of its parameters.
class TrainedModel {
 public:
  /// Loads (or draws) the weights onto the device and attaches the adapter. `recompute_every`: as models::Decoder::set_recompute.
  /// `checkpoint`: the one the run is continued from, or empty; an adapter that changed its base (adapter.init: pissa) changes it again
  /// from there, to the same bits.
  static std::unique_ptr<TrainedModel> make(const recipe::Recipe& recipe, const RunData& data, at::Device device, int64_t recompute_every,
                                            const std::filesystem::path& checkpoint);

  train::LossFunction loss_function(const recipe::Recipe& recipe);
  train::NamedTensors parameters() const;
  int64_t trainable_parameters() const;
  train::WeightFiles files(const recipe::Recipe& recipe);
  /// Between two steps: starts to write what quant.cache keeps, unless that was done. Not before the first step: it would wait for it.
  void keep_packed();
  /// After the run, or before weights that quant.cache keeps are changed: it is written and waited for. Without it what is being written is
  /// stopped and removed.
  void finish();
  void train(bool on) { decoder_->train(on); }
  models::Decoder& decoder() { return decoder_; }
  /// Hash of the base's config and of its weight files' headers, sizes and ends: enough to notice another base without reading it all.
  const std::string& base_fingerprint() const { return base_fingerprint_; }

 private:
  models::Decoder decoder_{nullptr};
  std::shared_ptr<PackedCache> packed_;  // null: nothing is quantized, or kept
  std::optional<AdapterSet> adapters_;   // none: full fine-tuning
  std::string base_fingerprint_;
  std::string chat_template_;
};

/// What `export` asks for after a run: says, per consumer named in `check`, what it would refuse or compute differently.
void report_exports(const recipe::Recipe& recipe, const std::filesystem::path& weights);

}  // namespace graft::app
