#include "graft/data/source_builder.h"

#include <algorithm>
#include <thread>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/signals.h"
#include "graft/base/strings.h"
#include "graft/data/formats.h"
#include "graft/data/ordered_pool.h"
#include "graft/data/row_outcome.h"
#include "graft/data/row_reader.h"
#include "graft/data/sample_encoder.h"

namespace graft::data {
namespace {

constexpr size_t kBatchRows = 256;
constexpr size_t kBatchBytes = size_t{1} << 18;
constexpr int kMaxWorkers = 64;
constexpr int64_t kRowsPerStatus = 5000;

/// Some rows of one file; `failure` is what stopped the reading after them.
struct RowBatch {
  uint32_t file = 0;
  std::vector<Row> rows;
  std::exception_ptr failure;
};

struct OutcomeBatch {
  uint32_t file = 0;
  std::vector<RowOutcome> outcomes;
  std::exception_ptr failure;
};

/// Hands out the rows of all files in order, up to the limit.
class BatchReader {
 public:
  BatchReader(const std::vector<std::filesystem::path>& files, int64_t limit) : files_(files), left_(limit) {}

  bool next(RowBatch& batch) {
    stop_if_signalled("tokenising");
    batch.file = static_cast<uint32_t>(file_);
    size_t bytes = 0;
    try {
      while (batch.rows.size() < kBatchRows && bytes < kBatchBytes && left_ != 0) {
        if (!reader_) {
          if (file_ == files_.size()) break;
          reader_ = open_rows(files_[file_]);
        }
        Row row;
        if (!reader_->next(row)) {
          reader_.reset();
          ++file_;
          break;
        }
        if (left_ > 0) --left_;
        bytes += row.text.size();
        batch.rows.push_back(std::move(row));
      }
    } catch (...) {
      batch.failure = std::current_exception();
      file_ = files_.size();
      left_ = 0;
      return true;
    }
    return !batch.rows.empty() || (left_ != 0 && file_ < files_.size());
  }

 private:
  const std::vector<std::filesystem::path>& files_;
  int64_t left_;  ///< rows still wanted; negative: all
  size_t file_ = 0;
  std::unique_ptr<RowReader> reader_;
};

/// One row → its outcome; what goes wrong is kept in it, so that errors surface in the file's order.
class RowEncoder {
 public:
  RowEncoder(const SourceOptions& source, const DatasetOptions& options, const text::Tokenizer* tokenizer,
             const text::ChatTemplate* chat_template)
      : source_(source), options_(options), format_(*find_format(source.format)), encoder_(options, tokenizer, chat_template) {
    context_.has_template = chat_template != nullptr;
    context_.vocabulary_size = options.vocabulary_size > 0 ? options.vocabulary_size
                               : tokenizer == nullptr      ? 0
                                                           : tokenizer->vocabulary_size();
  }

  RowOutcome operator()(const Row& row, const std::string& file) const {
    RowOutcome outcome;
    outcome.line = row.line;
    outcome.element = row.element;
    const std::string place = row_place(file, row.line, row.element);
    Encoded encoded;
    try {
      const Json json = parse_row(row, file);
      encoded = encoder_.encode(format_.read(RowView(json, format_, source_.fields), context_));
    } catch (const Error& error) {
      bad(outcome, error, file, place);
      return outcome;
    } catch (const Json::exception& error) {
      bad(outcome, DataError(std::string("unexpected JSON: ") + error.what()), file, place);
      return outcome;
    } catch (...) {
      outcome.error = std::current_exception();
      return outcome;
    }
    try {
      apply_length_policy(std::move(encoded), options_, outcome);
    } catch (const Error& error) {
      outcome.error = std::make_exception_ptr(DataError(error.message()).at(place).hint(error.hint()));
    }
    return outcome;
  }

 private:
  /// Only faults of the data can be skipped; they get the row's place, and keep the place they had (in a template, say) in the text.
  void bad(RowOutcome& outcome, const Error& error, const std::string& file, const std::string& place) const {
    if (error.code() != ExitCode::kData) {
      outcome.error = std::current_exception();
      return;
    }
    const bool placed = starts_with(error.where(), file + ":");
    const std::string message = error.message() + (placed || error.where().empty() ? "" : " (" + error.where() + ")");
    const std::string& at = placed ? error.where() : place;
    if (options_.on_bad_sample == DatasetOptions::OnBadSample::kSkip) {
      outcome.kind = RowOutcome::Kind::kBad;
      outcome.reason = at + ": " + message;
    } else {
      outcome.error = std::make_exception_ptr(DataError(message).at(at).nearest(error.nearest()).hint(error.hint()));
    }
  }

  const SourceOptions& source_;
  const DatasetOptions& options_;
  const Format& format_;
  FormatContext context_;
  SampleEncoder encoder_;
};

void record(const RowOutcome& outcome, uint32_t file, DatasetStatistics& statistics, TokenWriter& writer) {
  ++statistics.lines;
  if (outcome.error) std::rethrow_exception(outcome.error);
  switch (outcome.kind) {
    case RowOutcome::Kind::kBad:
      if (statistics.skipped_bad++ == 0) statistics.first_bad = outcome.reason;
      return;
    case RowOutcome::Kind::kTooLong:
      ++statistics.dropped_long;
      return;
    case RowOutcome::Kind::kUnsupervised:
      ++statistics.dropped_unsupervised;
      return;
    case RowOutcome::Kind::kKept:
      break;
  }
  statistics.truncated += outcome.truncated;
  statistics.cut_documents += outcome.cut;
  for (const auto& sample : outcome.samples) {
    const auto length = static_cast<int64_t>(sample.ids.size());
    ++statistics.samples;
    statistics.tokens += length;
    statistics.supervised_tokens += count_supervised(sample.labels.data(), sample.labels.size());
    statistics.longest = std::max(statistics.longest, length);
    SampleEntry entry;
    entry.line = static_cast<uint64_t>(outcome.line);
    entry.element = outcome.element;
    entry.length = static_cast<uint32_t>(length);
    entry.file = file;
    writer.append(entry, sample.ids.data(), sample.labels.data());
  }
}

int worker_count(int wanted) {
  if (wanted <= 0) wanted = static_cast<int>(std::thread::hardware_concurrency());
  return std::clamp(wanted, 1, kMaxWorkers);
}

}  // namespace

DatasetStatistics build_source(const SourceOptions& source, const std::vector<std::filesystem::path>& files, const DatasetOptions& options,
                               const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template, TokenWriter& writer) {
  const RowEncoder encode(source, options, tokenizer, chat_template);
  BatchReader reader(files, source.limit);
  DatasetStatistics statistics;
  OrderedPool<RowBatch, OutcomeBatch> pool(worker_count(options.workers), [&](RowBatch& batch) {
    OutcomeBatch result{batch.file, {}, batch.failure};
    result.outcomes.reserve(batch.rows.size());
    for (auto& row : batch.rows) {
      result.outcomes.push_back(encode(row, files[batch.file].string()));
      row.text = std::string();  // rows may be megabytes: none is kept longer than needed
    }
    return result;
  });
  int64_t reported = 0;
  pool.run([&](RowBatch& batch) { return reader.next(batch); },
           [&](OutcomeBatch&& batch) {
             if (statistics.lines - reported >= kRowsPerStatus) {
               reported = statistics.lines;
               log::status("tokenising " + files[batch.file].filename().string() + ": " + format_count(reported) + " rows, " +
                           format_count(statistics.tokens) + " tokens");
             }
             for (const auto& outcome : batch.outcomes) record(outcome, batch.file, statistics, writer);
             if (batch.failure) std::rethrow_exception(batch.failure);
           });
  if (reported > 0) log::status("");
  return statistics;
}

}  // namespace graft::data
