#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "data/support.h"
#include "graft/base/random.h"
#include "graft/data/batch_plan.h"
#include "graft/data/collate.h"

using namespace data_test;
using namespace graft::data;

namespace {

std::vector<int64_t> varied_lengths(size_t count) {
  graft::RandomStream stream(11, "lengths");
  std::vector<int64_t> lengths(count);
  for (auto& length : lengths) length = 2 + static_cast<int64_t>(stream.below(60));
  return lengths;
}

std::vector<int64_t> all_of(const Dataset& dataset) {
  std::vector<int64_t> indices(static_cast<size_t>(dataset.size()));
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

struct Fixture {
  TemporaryDirectory directory;
  Dataset dataset;
  BatchPlanOptions options;

  explicit Fixture(const std::vector<int64_t>& lengths = varied_lengths(500)) : dataset(make(lengths)) {
    options.max_length = 128;
    options.micro_sequences = 2;
    options.sequences_per_step = 5;
    options.pad_id = 77;
  }
  Dataset make(const std::vector<int64_t>& lengths) const {
    auto settings = options_for(directory.write("a.jsonl", token_lines(lengths)), "tokens");
    settings.vocabulary_size = 1000000;
    return build(settings);
  }
  BatchPlan plan() const { return BatchPlan(dataset, all_of(dataset), options); }
};

bool same(const Batch& a, const Batch& b) {
  return a.rows == b.rows && a.length == b.length && a.ids == b.ids && a.labels == b.labels && a.position_ids == b.position_ids &&
         a.document_ids == b.document_ids;
}

bool same(const StepBatches& a, const StepBatches& b) {
  return a.epoch == b.epoch && std::equal(a.micro_batches.begin(), a.micro_batches.end(), b.micro_batches.begin(), b.micro_batches.end(),
                                          [](const Batch& x, const Batch& y) { return same(x, y); });
}

/// The documents of a batch, (ids, labels) each, read back from document_ids; checks the padding on the way.
using Document = std::pair<std::vector<int32_t>, std::vector<int32_t>>;
void collect(const Batch& batch, int32_t pad_id, std::multiset<Document>& documents) {
  for (int64_t r = 0; r < batch.rows; ++r) {
    std::map<int32_t, Document> of_row;
    int32_t last = 0;
    for (int64_t t = 0; t < batch.length; ++t) {
      const auto at = static_cast<size_t>(r * batch.length + t);
      const int32_t document = batch.document_ids[at];
      if (document < 0) {
        REQUIRE(batch.ids[at] == pad_id);
        REQUIRE(batch.labels[at] == -100);
        last = INT32_MAX;  // padding is on the right: no document after it
        continue;
      }
      REQUIRE(document >= last);
      last = document;
      auto& [ids, labels] = of_row[document];
      REQUIRE(batch.position_ids[at] == static_cast<int32_t>(ids.size()));
      ids.push_back(batch.ids[at]);
      labels.push_back(batch.labels[at]);
    }
    for (auto& entry : of_row) documents.insert(std::move(entry.second));
  }
}

std::multiset<Document> documents_of_epoch(const BatchPlan& plan, int32_t pad_id, int64_t epoch = 0) {
  std::multiset<Document> documents;
  int64_t first = 1;
  for (int64_t e = 0; e < epoch; ++e) first += plan.steps_in_epoch(e);
  for (int64_t s = first; s < first + plan.steps_in_epoch(epoch); ++s)
    for (const auto& batch : plan.step(s).micro_batches) collect(batch, pad_id, documents);
  return documents;
}

std::vector<int64_t> flat(const std::vector<std::vector<int64_t>>& rows) {
  std::vector<int64_t> samples;
  for (const auto& row : rows) samples.insert(samples.end(), row.begin(), row.end());
  return samples;
}

}  // namespace

TEST_CASE("packed and unpacked batches hold the same documents with the same ids and labels", "[data]") {
  Fixture fixture;
  const auto packed = documents_of_epoch(fixture.plan(), 77);
  fixture.options.packing = BatchPlanOptions::Packing::kNone;
  const auto unpacked = documents_of_epoch(fixture.plan(), 77);
  REQUIRE(packed == unpacked);
  std::multiset<Document> expected;
  for (int64_t i = 0; i < fixture.dataset.size(); ++i) {
    auto sample = fixture.dataset.sample(i);
    sample.labels[0] = -100;
    expected.insert({sample.ids, sample.labels});
  }
  REQUIRE(packed == expected);
}

TEST_CASE("every epoch shows every sample once, in another order, in rows within max_length", "[data]") {
  const Fixture fixture;
  const auto plan = fixture.plan();
  std::set<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    for (const auto& row : plan.rows(epoch)) {
      int64_t sum = 0;
      for (const auto i : row) sum += fixture.dataset.length(i);
      REQUIRE(sum <= 128);
    }
    auto samples = flat(plan.rows(epoch));
    orders.insert(samples);
    std::sort(samples.begin(), samples.end());
    REQUIRE(samples == all_of(fixture.dataset));
  }
  REQUIRE(orders.size() == 3);
}

TEST_CASE("a step's batches do not depend on what was asked before: resume needs no replay", "[data]") {
  const Fixture fixture;
  const auto walked = fixture.plan();
  std::vector<StepBatches> steps;
  for (int64_t s = 1; s <= 200; ++s) steps.push_back(walked.step(s));  // several epochs
  REQUIRE(steps.back().epoch > 2);
  for (const int64_t s : {200, 1, 77, 150, 76, 3}) {
    const auto fresh = fixture.plan();
    REQUIRE(same(fresh.step(s), steps[static_cast<size_t>(s - 1)]));
    REQUIRE(same(walked.step(s), steps[static_cast<size_t>(s - 1)]));
  }
}

TEST_CASE("the order follows the seed, and file order when shuffle is off", "[data]") {
  Fixture fixture;
  const auto rows = fixture.plan().rows(0);
  REQUIRE(fixture.plan().rows(0) == rows);
  fixture.options.seed = 43;
  REQUIRE(fixture.plan().rows(0) != rows);
  fixture.options.shuffle = false;
  fixture.options.packing = BatchPlanOptions::Packing::kNone;
  REQUIRE(flat(fixture.plan().rows(1)) == all_of(fixture.dataset));
  fixture.options.packing = BatchPlanOptions::Packing::kIsolated;
  REQUIRE(flat(fixture.plan().rows(1)) == all_of(fixture.dataset));
}

TEST_CASE("steps are cut by rows, micro-batches by micro_sequences, and the last short ones are kept", "[data]") {
  Fixture fixture(std::vector<int64_t>(13, 3));
  fixture.options.packing = BatchPlanOptions::Packing::kNone;
  const auto plan = fixture.plan();
  REQUIRE(plan.steps_in_epoch(0) == 3);
  const auto rows = [&](int64_t step) {
    std::vector<int64_t> counts;
    for (const auto& batch : plan.step(step).micro_batches) counts.push_back(batch.rows);
    return counts;
  };
  REQUIRE(rows(1) == std::vector<int64_t>{2, 2, 1});
  REQUIRE(rows(3) == std::vector<int64_t>{2, 1});
  REQUIRE(rows(4) == std::vector<int64_t>{2, 2, 1});
  REQUIRE(plan.step(3).epoch == 1.0);
  REQUIRE(plan.step(4).epoch == Approx(4.0 / 3));
  REQUIRE(plan.step(1).tokens() == 15);
  REQUIRE(plan.step(1).supervised_tokens() == 10);  // the first label of each document does not count
}

TEST_CASE("tokens_per_step adds rows while the sum stays within it, and takes at least one", "[data]") {
  Fixture fixture({60, 50, 40, 30, 100, 10, 10});
  fixture.options.sequences_per_step = 0;
  fixture.options.tokens_per_step = 90;
  fixture.options.shuffle = false;
  fixture.options.packing = BatchPlanOptions::Packing::kNone;
  const auto plan = fixture.plan();
  std::vector<int64_t> tokens;
  for (int64_t s = 1; s <= plan.steps_in_epoch(0); ++s) tokens.push_back(plan.step(s).tokens());
  REQUIRE(tokens == std::vector<int64_t>{60, 90, 30, 100, 20});
}

TEST_CASE("step counts: fractions of epochs round up, tokens are reached, not passed by a step", "[data]") {
  Fixture fixture(std::vector<int64_t>(50, 4));
  fixture.options.packing = BatchPlanOptions::Packing::kNone;
  const auto plan = fixture.plan();  // 10 steps an epoch of 20 tokens each
  REQUIRE(plan.steps_for_epochs(1) == 10);
  REQUIRE(plan.steps_for_epochs(0.5) == 5);
  REQUIRE(plan.steps_for_epochs(0.3) == 3);
  REQUIRE(plan.steps_for_epochs(0.31) == 4);
  REQUIRE(plan.steps_for_epochs(2.5) == 25);
  REQUIRE(plan.steps_for_epochs(1e-9) == 1);
  REQUIRE(plan.steps_for_tokens(1) == 1);
  REQUIRE(plan.steps_for_tokens(20) == 1);
  REQUIRE(plan.steps_for_tokens(21) == 2);
  REQUIRE(plan.steps_for_tokens(200) == 10);
  REQUIRE(plan.steps_for_tokens(201) == 11);
  for (const double wrong : {0.0, -1.0, 1e300, std::nan("")}) REQUIRE(failure_of([&] { plan.steps_for_epochs(wrong); }).code == 78);
  for (const int64_t wrong : {int64_t{0}, INT64_MAX}) REQUIRE(failure_of([&] { plan.steps_for_tokens(wrong); }).code == 78);
}

TEST_CASE("a weight of 0.5 shows each half once in two epochs, 2 shows all twice, 1.5 three times in two", "[data]") {
  const TemporaryDirectory directory;
  auto settings = options_for(directory.write("a.jsonl", token_lines(std::vector<int64_t>(11, 3))), "tokens");
  settings.vocabulary_size = 1000000;
  settings.sources.push_back(settings.sources[0]);
  settings.sources.push_back(settings.sources[0]);
  settings.sources[0].weight = 0.5;
  settings.sources[1].weight = 2;
  settings.sources[2].weight = 1.5;
  const auto dataset = build(settings);
  for (const bool shuffle : {true, false}) {
    BatchPlanOptions options;
    options.shuffle = shuffle;
    options.sequences_per_step = 4;
    const BatchPlan plan(dataset, all_of(dataset), options);
    std::map<int64_t, int> shown;
    for (int64_t epoch = 0; epoch < 2; ++epoch) {
      std::map<int64_t, int> of_source;
      for (const auto i : flat(plan.rows(epoch))) ++shown[i], ++of_source[dataset.source_of(i)];
      REQUIRE((of_source[0] == 5 || of_source[0] == 6));
      REQUIRE(of_source[1] == 22);
      REQUIRE((of_source[2] == 16 || of_source[2] == 17));
    }
    for (int64_t i = 0; i < 33; ++i) REQUIRE(shown[i] == (i < 11 ? 1 : i < 22 ? 4 : 3));
  }
}

TEST_CASE("evaluation batches hold the given samples once, in file order", "[data]") {
  const Fixture fixture;
  const auto [train, evaluation] = fixture.dataset.split(0.1, 3);
  const BatchPlan plan(fixture.dataset, evaluation, fixture.options);
  std::multiset<Document> documents, expected;
  for (const auto& batch : plan.all_batches()) collect(batch, 77, documents);
  for (const auto i : evaluation) collect(inspect_sample(fixture.dataset, i), 0, expected);
  REQUIRE(documents == expected);
  const BatchPlan other(fixture.dataset, train, fixture.options);
  for (const auto i : flat(other.rows(0))) REQUIRE(std::binary_search(train.begin(), train.end(), i));
}

TEST_CASE("a batch is as long as its longest row", "[data]") {
  const Fixture fixture({5, 9, 2});
  const auto batch = collate(fixture.dataset, {{0, 2}, {1}}, 77);
  REQUIRE(batch.length == 9);
  REQUIRE(batch.tokens == 16);
  REQUIRE(batch.supervised_tokens == 4 + 1 + 8);
  REQUIRE(std::vector<int32_t>(batch.document_ids.begin(), batch.document_ids.begin() + 9) ==
          std::vector<int32_t>{0, 0, 0, 0, 0, 1, 1, -1, -1});
  REQUIRE(std::vector<int32_t>(batch.position_ids.begin(), batch.position_ids.begin() + 9) ==
          std::vector<int32_t>{0, 1, 2, 3, 4, 0, 1, 0, 0});
}

TEST_CASE("the summary counts what the rows hold", "[data]") {
  const Fixture fixture;
  const auto summary = fixture.plan().summary(0);
  REQUIRE(summary.samples == 500);
  REQUIRE(summary.tokens == fixture.dataset.statistics().tokens);
  REQUIRE(summary.rows == static_cast<int64_t>(fixture.plan().rows(0).size()));
  REQUIRE(summary.packing_efficiency == Approx(static_cast<double>(summary.tokens) / static_cast<double>(summary.rows * 128)));
  REQUIRE(summary.packing_efficiency > 0.9);  // lengths of 2 to 61 in rows of 128 leave little room: below that best fit is broken
}

TEST_CASE("options that make no batches are refused", "[data]") {
  Fixture fixture({5, 9});
  const auto code = [&] { return failure_of([&] { fixture.plan(); }).code; };
  fixture.options.max_length = 8;
  REQUIRE(code() == 65);
  fixture.options.max_length = 128, fixture.options.micro_sequences = 0;
  REQUIRE(code() == 78);
  fixture.options.micro_sequences = 1, fixture.options.tokens_per_step = 5;
  REQUIRE(code() == 78);
  fixture.options.tokens_per_step = 0, fixture.options.sequences_per_step = 0;
  REQUIRE(code() == 78);
  REQUIRE(failure_of([&] { BatchPlan(fixture.dataset, {}, BatchPlanOptions()); }).code != 0);
}
