#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graft/data/batch.h"
#include "graft/text/chat_encoder.h"

namespace graft::data {

/// One entry of data.train: files (glob allowed), how to read them, how much of them.
struct SourceOptions {
  std::string path;    ///< file or glob; .jsonl / .ndjson (one object a line) or .json (one array)
  std::string format;  ///< a name of formats.h: messages | sharegpt | alpaca | prompt_completion | text | tokens
  /// The format's field → the key it has in this file: {prompt: question, completion: answer}.
  std::map<std::string, std::string> fields;
  /// Passes over this source per epoch: 0.5 takes half of it each epoch (the other half in the next), 2 takes it twice. In (0, 1000].
  double weight = 1.0;
  int64_t limit = -1;  ///< first N rows only, over all its files; -1: all
  /// "recipe.yaml:12:7": errors about path, format, fields, weight and limit are RecipeErrors there; "" (command line): UsageErrors.
  std::string recipe_place;
  std::string recipe_directory;  ///< where the recipe lies: a path missing here but found there is said so; "" = unknown
};

struct DatasetOptions {
  std::vector<SourceOptions> sources;
  text::TrainOn train_on;
  std::string template_date = "2024-07-26";
  int64_t max_length = 2048;  ///< tokens, at least 2
  /// What to do with a sample longer than max_length. Under `pretrain` kDrop cuts it into pieces of max_length instead: no token is lost.
  enum class Overflow { kDrop, kTruncateRight, kError } on_overflow = Overflow::kDrop;
  enum class OnBadSample { kError, kSkip } on_bad_sample = OnBadSample::kError;
  std::string cache_directory;  ///< "" = no cache
  int workers = 1;              ///< tokenising threads; 0 or less: one per processor
  bool pretrain = false;        ///< task: pretrain: every token is trained on, whatever train_on says
  int32_t eos_id = -1;          ///< appended to text, completions and alpaca without a template (find_eos_id); -1: the model has none
  int64_t vocabulary_size = 0;  ///< ids of `tokens` rows must be below it (rows of the embedding); 0: the tokenizer's, when there is one
};

/// What happened to the rows, for plan, reports and warnings.
/// lines = skipped_bad + rows that became samples + dropped_long + dropped_unsupervised; samples differ from rows when documents are cut.
struct DatasetStatistics {
  int64_t lines = 0, samples = 0, skipped_bad = 0, dropped_long = 0, truncated = 0, dropped_unsupervised = 0;
  int64_t tokens = 0, supervised_tokens = 0, longest = 0;
  int64_t cut_documents = 0;  ///< pretrain: documents longer than max_length, kept in pieces
  std::string first_bad;      ///< "file:line: reason" of the first skipped row; "" when none was
};

/// All tokenised samples of a list of sources. Token data lives in a memory-mapped cache file (cache_directory) or in memory as
/// int32; the JSON text is streamed line by line and never held whole. Deterministic: same inputs, same bytes, any worker count.
class Dataset {
 public:
  /// tokenizer may be null when all sources are `tokens`; chat_template may be null when no source needs one (see formats.h).
  /// DataError with file:line and reason for a bad line (the first one, any worker count); a source without one usable sample is a
  /// DataError with the counts. PreemptedError when a signal arrives while tokenising (nothing is lost: run it again).
  static Dataset build(const DatasetOptions& options, const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template);
  ~Dataset();
  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;

  int64_t size() const;
  Sample sample(int64_t index) const;
  int64_t length(int64_t index) const;
  int64_t source_of(int64_t index) const;  ///< index into options.sources
  int64_t sources() const;
  std::pair<int64_t, int64_t> source_range(int64_t source) const;  ///< its samples are [first, second)
  double weight(int64_t source) const;
  /// "train.jsonl:17", "data.json:340: element 12": the row a sample came from.
  std::string place(int64_t index) const;
  const DatasetStatistics& statistics() const;
  const DatasetStatistics& statistics(int64_t source) const;
  /// SHA-256 over everything that determines the samples.
  const std::string& fingerprint() const;
  /// Splits off `fraction` (0 … 1) of the samples by seed, as index lists (train, eval), both in file order. Pieces of one document
  /// stay on one side. 0 puts all into train; above 0 both sides get at least one sample, else DataError.
  std::pair<std::vector<int64_t>, std::vector<int64_t>> split(double fraction, uint64_t seed) const;

 private:
  struct State;
  explicit Dataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace graft::data
