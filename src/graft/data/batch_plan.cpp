#include "graft/data/batch_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/data/collate.h"
#include "graft/data/epoch_order.h"
#include "graft/data/packing.h"

namespace graft::data {
namespace {

using Packing = BatchPlanOptions::Packing;

/// Rows that stay open with shuffle off: with one, rows hold the file's samples one after the other.
constexpr int64_t kOpenRowsInOrder = 1;
/// More epochs than any training makes; a number above it is a slip in the recipe, not work to do.
constexpr double kMaxEpochs = 1e6;
/// Epochs kept in memory: the running one and the next, which the prefetcher may be in already.
constexpr size_t kEpochsKept = 2;

/// One epoch laid out: rows of samples, and where each optimizer step begins in them.
struct Layout {
  std::vector<int64_t> order;  ///< dataset indices; rows hold positions in it
  RowLists rows;
  std::vector<int64_t> step_begins;  ///< row number; one more than there are steps
  std::vector<int64_t> step_tokens;
  int64_t tokens = 0;

  int64_t steps() const { return static_cast<int64_t>(step_begins.size()) - 1; }
  std::vector<int64_t> row(int64_t number) const {
    std::vector<int64_t> samples;
    for (int64_t i = rows.begins[static_cast<size_t>(number)]; i < rows.begins[static_cast<size_t>(number) + 1]; ++i)
      samples.push_back(order[static_cast<size_t>(rows.items[static_cast<size_t>(i)])]);
    return samples;
  }
};

RowLists one_sample_per_row(size_t samples) {
  RowLists rows;
  rows.items.resize(samples);
  rows.begins.resize(samples + 1);
  std::iota(rows.items.begin(), rows.items.end(), int64_t{0});
  std::iota(rows.begins.begin(), rows.begins.end(), int64_t{0});
  return rows;
}

std::vector<int64_t> lengths_of(const Dataset& dataset, const std::vector<int64_t>& order) {
  std::vector<int64_t> lengths(order.size());
  for (size_t i = 0; i < order.size(); ++i) lengths[i] = dataset.length(order[i]);
  return lengths;
}

/// Cuts the rows into optimizer steps, by number of rows or by tokens.
void cut_into_steps(const std::vector<int64_t>& lengths, const BatchPlanOptions& options, Layout& layout) {
  int64_t rows_in_step = 0, tokens_in_step = 0;
  layout.step_begins = {0};
  const auto close = [&](int64_t row) {
    layout.step_begins.push_back(row);
    layout.step_tokens.push_back(tokens_in_step);
    layout.tokens += tokens_in_step;
    rows_in_step = tokens_in_step = 0;
  };
  for (int64_t row = 0; row < layout.rows.size(); ++row) {
    int64_t tokens = 0;
    for (int64_t i = layout.rows.begins[static_cast<size_t>(row)]; i < layout.rows.begins[static_cast<size_t>(row) + 1]; ++i)
      tokens += lengths[static_cast<size_t>(layout.rows.items[static_cast<size_t>(i)])];
    const bool full =
        options.tokens_per_step > 0 ? tokens_in_step + tokens > options.tokens_per_step : rows_in_step == options.sequences_per_step;
    if (rows_in_step > 0 && full) close(row);
    ++rows_in_step;
    tokens_in_step += tokens;
  }
  if (rows_in_step > 0) close(layout.rows.size());
}

void check_options(const BatchPlanOptions& options) {
  if (options.micro_sequences < 1)
    throw RecipeError("batch.micro_sequences is " + std::to_string(options.micro_sequences) + ", must be at least 1");
  if (options.sequences_per_step < 0 || options.tokens_per_step < 0 || (options.sequences_per_step > 0) == (options.tokens_per_step > 0))
    throw RecipeError("exactly one of batch.sequences_per_step and batch.tokens_per_step must be above 0");
  if (options.max_length < 1) throw RecipeError("max_length is " + std::to_string(options.max_length) + ", must be at least 1");
}

}  // namespace

struct BatchPlan::State {
  const Dataset* dataset;
  std::vector<WeightedSource> sources;
  std::vector<int64_t> indices;  ///< in file order
  BatchPlanOptions options;

  mutable std::mutex mutex;
  mutable std::map<int64_t, std::shared_ptr<const Layout>> layouts;  ///< the last kEpochsKept used
  mutable std::vector<int64_t> steps_before = {0};                   ///< steps_before[e]: optimizer steps of epochs 0 … e-1

  Layout lay_out(std::vector<int64_t> order, bool keep_order) const {
    Layout layout;
    const auto lengths = lengths_of(*dataset, order);
    layout.order = std::move(order);
    layout.rows = options.packing == Packing::kIsolated ? pack_best_fit(lengths, options.max_length, keep_order ? kOpenRowsInOrder : 0)
                                                        : one_sample_per_row(layout.order.size());
    cut_into_steps(lengths, options, layout);
    return layout;
  }

  std::shared_ptr<const Layout> layout(int64_t epoch) const {
    if (epoch < 0) throw InternalError("epoch " + std::to_string(epoch));
    {
      const std::lock_guard lock(mutex);
      if (const auto found = layouts.find(epoch); found != layouts.end()) return found->second;
    }
    auto made = std::make_shared<const Layout>(lay_out(epoch_order(sources, options.seed, options.shuffle, epoch), !options.shuffle));
    const std::lock_guard lock(mutex);
    layouts[epoch] = made;
    if (layouts.size() > kEpochsKept) layouts.erase(layouts.begin()->first == epoch ? std::prev(layouts.end()) : layouts.begin());
    return made;
  }

  /// Without packing a step count needs no layout.
  int64_t steps_in(int64_t epoch) const {
    if (options.packing == Packing::kNone && options.sequences_per_step > 0)
      return (epoch_size(sources, epoch) + options.sequences_per_step - 1) / options.sequences_per_step;
    return layout(epoch)->steps();
  }

  int64_t steps_before_epoch(int64_t epoch) const {
    while (true) {
      size_t known;
      {
        const std::lock_guard lock(mutex);
        if (static_cast<size_t>(epoch) < steps_before.size()) return steps_before[static_cast<size_t>(epoch)];
        known = steps_before.size();
      }
      const int64_t more = steps_in(static_cast<int64_t>(known) - 1);
      const std::lock_guard lock(mutex);
      if (steps_before.size() == known) steps_before.push_back(steps_before.back() + more);
    }
  }

  /// The epoch that zero-based step `step` is in.
  int64_t epoch_of(int64_t step) const {
    int64_t epoch = 0;
    {
      const std::lock_guard lock(mutex);
      const auto after = std::upper_bound(steps_before.begin(), steps_before.end(), step);
      epoch = after - steps_before.begin() - 1;
    }
    while (steps_before_epoch(epoch + 1) <= step) ++epoch;
    return epoch;
  }

  std::vector<Batch> micro_batches(const Layout& layout, int64_t begin, int64_t end) const {
    std::vector<Batch> batches;
    for (int64_t row = begin; row < end; row += options.micro_sequences) {
      std::vector<std::vector<int64_t>> rows;
      for (int64_t r = row; r < std::min(end, row + options.micro_sequences); ++r) rows.push_back(layout.row(r));
      batches.push_back(collate(*dataset, rows, options.pad_id));
    }
    return batches;
  }
};

BatchPlan::BatchPlan(const Dataset& dataset, std::vector<int64_t> indices, BatchPlanOptions options) : state_(std::make_unique<State>()) {
  check_options(options);
  if (indices.empty()) throw DataError("there is no sample to make batches of").hint("check data.train and data.eval");
  std::sort(indices.begin(), indices.end());
  state_->dataset = &dataset;
  state_->options = options;
  state_->sources.resize(static_cast<size_t>(dataset.sources()));
  for (int64_t s = 0; s < dataset.sources(); ++s) state_->sources[static_cast<size_t>(s)].weight = dataset.weight(s);
  int64_t source = 0;
  for (const int64_t index : indices) {
    if (dataset.length(index) > options.max_length)
      throw DataError("a sample is " + format_count(dataset.length(index)) + " tokens long, rows hold " + format_count(options.max_length))
          .at(dataset.place(index));
    while (index >= dataset.source_range(source).second) ++source;
    state_->sources[static_cast<size_t>(source)].samples.push_back(index);
  }
  state_->indices = std::move(indices);
}

BatchPlan::~BatchPlan() = default;
BatchPlan::BatchPlan(BatchPlan&&) noexcept = default;
BatchPlan& BatchPlan::operator=(BatchPlan&&) noexcept = default;

int64_t BatchPlan::steps_in_epoch(int64_t epoch) const { return state_->steps_in(epoch); }

int64_t BatchPlan::steps_for_epochs(double epochs) const {
  if (!(epochs > 0) || epochs > kMaxEpochs) throw RecipeError("train.epochs must be above 0 and at most 1,000,000").at("train.epochs");
  const auto whole = static_cast<int64_t>(epochs);
  const double part = epochs - static_cast<double>(whole);
  int64_t steps = state_->steps_before_epoch(whole);
  // 1e-6: 0.1 * 30 steps is 3.0000000000000004 in binary and must not become 4; above the rounding of any count below 1e9.
  if (part > 0) steps += static_cast<int64_t>(std::ceil(part * static_cast<double>(state_->steps_in(whole)) - 1e-6));
  return std::max<int64_t>(steps, 1);
}

int64_t BatchPlan::steps_for_tokens(int64_t tokens) const {
  if (tokens < 1) throw RecipeError("train.tokens must be at least 1").at("train.tokens");
  int64_t steps = 0;
  for (int64_t epoch = 0; static_cast<double>(epoch) <= kMaxEpochs; ++epoch) {
    const auto layout = state_->layout(epoch);
    if (layout->tokens < tokens) {
      tokens -= layout->tokens;
      steps += layout->steps();
      if (static_cast<double>(tokens) / static_cast<double>(layout->tokens) > kMaxEpochs) break;
      continue;
    }
    for (const int64_t of_step : layout->step_tokens) {
      ++steps;
      if ((tokens -= of_step) <= 0) return steps;
    }
  }
  throw RecipeError("train.tokens is more than 1,000,000 epochs of this data").at("train.tokens").hint("give fewer tokens, or more data");
}

StepBatches BatchPlan::step(int64_t step) const {
  if (step < 1) throw InternalError("optimizer steps count from 1, not " + std::to_string(step));
  const int64_t epoch = state_->epoch_of(step - 1);
  const int64_t inside = step - 1 - state_->steps_before_epoch(epoch);
  const auto layout = state_->layout(epoch);
  StepBatches batches;
  batches.micro_batches = state_->micro_batches(*layout, layout->step_begins[static_cast<size_t>(inside)],
                                                layout->step_begins[static_cast<size_t>(inside) + 1]);
  batches.epoch = static_cast<double>(epoch) + static_cast<double>(inside + 1) / static_cast<double>(layout->steps());
  return batches;
}

std::vector<Batch> BatchPlan::all_batches() const {
  const Layout layout = state_->lay_out(state_->indices, /*keep_order=*/true);
  return state_->micro_batches(layout, 0, layout.rows.size());
}

std::vector<std::vector<int64_t>> BatchPlan::rows(int64_t epoch) const {
  const auto layout = state_->layout(epoch);
  std::vector<std::vector<int64_t>> rows;
  for (int64_t r = 0; r < layout->rows.size(); ++r) rows.push_back(layout->row(r));
  return rows;
}

EpochSummary BatchPlan::summary(int64_t epoch) const {
  const auto layout = state_->layout(epoch);
  EpochSummary summary;
  summary.samples = static_cast<int64_t>(layout->order.size());
  summary.rows = layout->rows.size();
  summary.steps = layout->steps();
  summary.tokens = layout->tokens;
  summary.packing_efficiency =
      static_cast<double>(summary.tokens) / (static_cast<double>(summary.rows) * static_cast<double>(state_->options.max_length));
  return summary;
}

}  // namespace graft::data
