#include "graft/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/random.h"
#include "graft/base/sha256.h"
#include "graft/base/strings.h"
#include "graft/data/cache_directory.h"
#include "graft/data/cache_key.h"
#include "graft/data/content_hash.h"
#include "graft/data/row_reader.h"
#include "graft/data/source_builder.h"
#include "graft/data/source_files.h"

namespace graft::data {
namespace {

struct Source {
  std::string path;
  double weight = 1;
  std::vector<std::filesystem::path> files;
  std::shared_ptr<const TokenStore> store;
  int64_t begin = 0;  ///< index of its first sample in the dataset
};

std::vector<std::string> stamps_of(const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> stamps;
  for (const auto& file : files) stamps.push_back(file_stamp(file));
  return stamps;
}

/// The store of one source. The files must not change between the hash and the reading: the cache would keep the wrong samples.
std::shared_ptr<const TokenStore> make_store(const SourceOptions& source, const std::vector<std::filesystem::path>& files,
                                             const std::string& key, const std::vector<std::string>& stamps, const DatasetOptions& options,
                                             const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template) {
  return cached_or_built(options.cache_directory, key, [&](TokenWriter& writer) {
    auto statistics = build_source(source, files, options, tokenizer, chat_template, writer);
    const auto now = stamps_of(files);
    for (size_t i = 0; i < files.size(); ++i)
      if (now[i] != stamps[i])
        throw DataError("the file changed while it was being read").at(files[i].string()).hint("wait until it is complete, then run again");
    return statistics;
  });
}

void check_options(const DatasetOptions& options) {
  if (options.sources.empty()) throw RecipeError("there is no data source").hint("name at least one file in data.train");
  if (options.max_length < 2 || options.max_length > int64_t{1} << 30)
    throw RecipeError("max_length is " + std::to_string(options.max_length) + ", must be between 2 and 2^30 tokens")
        .hint("set model.max_length");
}

std::string percent(double part, double whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g %%", 100.0 * part / whole);
  return text;
}

/// A source that gives nothing is a mistake in the recipe or the file, whatever the other sources give.
void require_samples(const Source& source, const DatasetOptions& options) {
  const auto& counts = source.store->statistics();
  if (counts.samples > 0) return;
  if (counts.lines == 0) throw DataError("the data has no rows").at(source.path).hint("check that the file is the one you mean");
  const std::string summary = "none of its " + format_count(counts.lines) + " rows can be trained on: " + format_count(counts.skipped_bad) +
                              " bad, " + format_count(counts.dropped_long) + " longer than " + format_count(options.max_length) +
                              " tokens, " + format_count(counts.dropped_unsupervised) + " without a token to train on" +
                              (counts.first_bad.empty() ? "" : "; the first bad one: " + counts.first_bad);
  const char* hint = counts.dropped_long == counts.lines  ? "raise model.max_length, or set data.on_overflow: truncate-right"
                     : counts.skipped_bad == counts.lines ? "check data format and fields"
                                                          : "check data.train_on: it may name a role the data does not have";
  throw DataError(summary).at(source.path).hint(hint);
}

/// The counts are the caller's to report (statistics()); that nearly nothing is trained on is said here, since nobody asks for it.
void warn_when_hardly_supervised(const Source& source) {
  const auto& counts = source.store->statistics();
  if (counts.supervised_tokens * 100 >= counts.tokens) return;
  log::warning(source.path + ": only " + percent(static_cast<double>(counts.supervised_tokens), static_cast<double>(counts.tokens)) +
               " of its tokens are trained on; check data.train_on");
}

void add(DatasetStatistics& sum, const DatasetStatistics& part) {
  for (const auto field : {&DatasetStatistics::lines, &DatasetStatistics::samples, &DatasetStatistics::skipped_bad,
                           &DatasetStatistics::dropped_long, &DatasetStatistics::truncated, &DatasetStatistics::dropped_unsupervised,
                           &DatasetStatistics::tokens, &DatasetStatistics::supervised_tokens, &DatasetStatistics::cut_documents})
    sum.*field += part.*field;
  sum.longest = std::max(sum.longest, part.longest);
  if (sum.first_bad.empty()) sum.first_bad = part.first_bad;
}

}  // namespace

struct Dataset::State {
  std::vector<Source> sources;
  DatasetStatistics statistics;
  std::string fingerprint;
  int64_t size = 0;

  const Source& source(int64_t index) const { return sources[static_cast<size_t>(number(index))]; }

  int64_t number(int64_t index) const {
    if (index < 0 || index >= size) throw InternalError("sample " + std::to_string(index) + " of " + std::to_string(size));
    const auto after =
        std::upper_bound(sources.begin(), sources.end(), index, [](int64_t value, const Source& entry) { return value < entry.begin; });
    return after - sources.begin() - 1;
  }
};

Dataset Dataset::build(const DatasetOptions& options, const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template) {
  check_options(options);
  auto state = std::make_unique<State>();
  for (const auto& source : options.sources) {  // all recipe mistakes before the first file is read
    check_source(source, options, tokenizer, chat_template);
    state->sources.push_back({source.path, source.weight, expand_source(source), nullptr, 0});
  }
  std::string keys;
  for (size_t i = 0; i < options.sources.size(); ++i) {
    Source& source = state->sources[i];
    const auto stamps = stamps_of(source.files);
    const std::string key = source_key(options.sources[i], source.files, options, tokenizer, chat_template);
    source.store = make_store(options.sources[i], source.files, key, stamps, options, tokenizer, chat_template);
    require_samples(source, options);
    warn_when_hardly_supervised(source);
    source.begin = state->size;
    state->size += source.store->size();
    add(state->statistics, source.store->statistics());
    keys += key;
  }
  state->fingerprint = sha256(keys);
  return Dataset(std::move(state));
}

Dataset::Dataset(std::unique_ptr<State> state) : state_(std::move(state)) {}
Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;

int64_t Dataset::size() const { return state_->size; }

Sample Dataset::sample(int64_t index) const {
  const auto& source = state_->source(index);
  const int64_t inside = index - source.begin;
  const auto length = source.store->entry(inside).length;
  const int32_t *ids = source.store->ids(inside), *labels = source.store->labels(inside);
  return {{ids, ids + length}, {labels, labels + length}, static_cast<uint64_t>(index)};
}

int64_t Dataset::length(int64_t index) const {
  const auto& source = state_->source(index);
  return source.store->entry(index - source.begin).length;
}

int64_t Dataset::source_of(int64_t index) const { return state_->number(index); }
int64_t Dataset::sources() const { return static_cast<int64_t>(state_->sources.size()); }
double Dataset::weight(int64_t source) const { return state_->sources.at(static_cast<size_t>(source)).weight; }

std::pair<int64_t, int64_t> Dataset::source_range(int64_t source) const {
  const auto& entry = state_->sources.at(static_cast<size_t>(source));
  return {entry.begin, entry.begin + entry.store->size()};
}

std::string Dataset::place(int64_t index) const {
  const auto& source = state_->source(index);
  const auto& entry = source.store->entry(index - source.begin);
  const std::string file = entry.file < source.files.size() ? source.files[entry.file].string() : source.path;
  return row_place(file, static_cast<int64_t>(entry.line), entry.element);
}

const DatasetStatistics& Dataset::statistics() const { return state_->statistics; }
const DatasetStatistics& Dataset::statistics(int64_t source) const {
  return state_->sources.at(static_cast<size_t>(source)).store->statistics();
}
const std::string& Dataset::fingerprint() const { return state_->fingerprint; }

std::pair<std::vector<int64_t>, std::vector<int64_t>> Dataset::split(double fraction, uint64_t seed) const {
  if (!(fraction >= 0) || !(fraction < 1))
    throw RecipeError("the evaluation split is " + std::to_string(fraction) + ", must be at least 0 and below 1").at("data.eval.split");
  // Documents, as ranges of samples: pieces of a row follow each other and have its line.
  std::vector<int64_t> starts;
  for (const auto& source : state_->sources)
    for (int64_t i = 0; i < source.store->size(); ++i) {
      const auto &entry = source.store->entry(i), &before = source.store->entry(std::max<int64_t>(i - 1, 0));
      if (i == 0 || entry.line != before.line || entry.element != before.element || entry.file != before.file)
        starts.push_back(source.begin + i);
    }
  const auto documents = static_cast<int64_t>(starts.size());
  std::vector<bool> held_out(starts.size(), false);
  if (fraction > 0) {
    if (documents < 2)
      throw DataError("one sample cannot be split into training and evaluation data").hint("give more data, or leave data.eval.split out");
    const auto wanted = std::clamp<int64_t>(std::llround(fraction * static_cast<double>(documents)), 1, documents - 1);
    const auto order = random_permutation(static_cast<uint64_t>(documents), seed, "split", 0);
    for (int64_t i = 0; i < wanted; ++i) held_out[order[static_cast<size_t>(i)]] = true;
  }
  std::pair<std::vector<int64_t>, std::vector<int64_t>> sides;
  for (size_t d = 0; d < starts.size(); ++d) {
    const int64_t end = d + 1 < starts.size() ? starts[d + 1] : state_->size;
    for (int64_t i = starts[d]; i < end; ++i) (held_out[d] ? sides.second : sides.first).push_back(i);
  }
  return sides;
}

}  // namespace graft::data
