#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graft/data/batch.h"
#include "graft/text/chat_encoder.h"

namespace graft::data {

/// One entry of data.train: files (glob allowed), how to read them, how much of them.
struct SourceOptions {
  std::string path;             ///< file or glob; .jsonl (one object a line) or .json (one array)
  std::string format;           ///< messages | sharegpt | alpaca | prompt_completion | text | tokens
  double weight = 1.0;          ///< expected passes over this source per epoch: 0.5 takes half of it each epoch, 2 takes it twice
  int64_t limit = -1;           ///< first N samples only; -1: all
  std::string recipe_place;     ///< "recipe.yaml:12:7", for errors about the path (exit 78)
};

struct DatasetOptions {
  std::vector<SourceOptions> sources;
  text::TrainOn train_on;
  std::string template_date = "2024-07-26";
  int64_t max_length = 2048;            ///< tokens
  enum class Overflow { kDrop, kTruncateRight, kError } on_overflow = Overflow::kDrop;
  enum class OnBadSample { kError, kSkip } on_bad_sample = OnBadSample::kError;
  std::string cache_directory;          ///< "" = no cache
  int workers = 1;                      ///< tokenising threads
  bool pretrain = false;                ///< task: pretrain — train on every token, append EOS to each text, fill rows to max_length
};

/// What happened to the lines, for plan, reports and warnings.
struct DatasetStatistics {
  int64_t lines = 0, samples = 0, skipped_bad = 0, dropped_long = 0, truncated = 0, dropped_unsupervised = 0;
  int64_t tokens = 0, supervised_tokens = 0, longest = 0;
};

/// All tokenised samples of a list of sources. Token data lives in a memory-mapped cache file (cache_directory) or in memory as
/// int32; the JSON text is streamed line by line and never held whole. Deterministic: same inputs, same bytes, any worker count.
class Dataset {
 public:
  /// chat_template may be null when no source needs one. DataError with file:line and reason for a bad line; a dataset without
  /// one usable sample is a DataError.
  static Dataset build(const DatasetOptions& options, const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template);
  ~Dataset();
  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;

  int64_t size() const;
  Sample sample(int64_t index) const;
  int64_t length(int64_t index) const;
  int64_t source_of(int64_t index) const;  ///< index into options.sources
  const DatasetStatistics& statistics() const;
  /// SHA-256 over everything that determines the samples.
  const std::string& fingerprint() const;
  /// Splits off `fraction` (0 … 1) of the samples by seed, as index lists (train, eval), both in file order.
  std::pair<std::vector<int64_t>, std::vector<int64_t>> split(double fraction, uint64_t seed) const;

 private:
  struct State;
  explicit Dataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace graft::data
