#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>

#include "data/support.h"
#include "graft/base/signals.h"

using namespace data_test;
using Overflow = DatasetOptions::Overflow;
using OnBadSample = DatasetOptions::OnBadSample;

namespace {

/// Every sample's ids, then its labels.
std::vector<std::vector<int32_t>> contents(const Dataset& dataset) {
  std::vector<std::vector<int32_t>> all;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const auto sample = dataset.sample(i);
    all.push_back(sample.ids);
    all.push_back(sample.labels);
  }
  return all;
}

std::vector<int32_t> first_ids(const Dataset& dataset) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < dataset.size(); ++i) ids.push_back(dataset.sample(i).ids.front());
  return ids;
}

DatasetOptions token_options(const std::string& path) {
  auto options = options_for(path, "tokens");
  options.vocabulary_size = 1000000;
  return options;
}

}  // namespace

TEST_CASE("samples come in file order with their row's place, files of a glob by name", "[data]") {
  const TemporaryDirectory directory;
  directory.write("part-2.jsonl", "{\"input_ids\":[20,1]}\n");
  directory.write("part-10.jsonl", "\n{\"input_ids\":[10,1]}\n{\"input_ids\":[11,1]}\n");
  directory.write("z.json", "[{\"input_ids\":[30,1]}]");
  auto options = token_options((directory / "part-*.jsonl").string());
  options.sources.push_back(token_options((directory / "z.json").string()).sources[0]);
  const auto dataset = build(options);
  REQUIRE(first_ids(dataset) == std::vector<int32_t>{10, 11, 20, 30});  // "part-10" < "part-2", byte by byte
  REQUIRE(dataset.place(1) == (directory / "part-10.jsonl").string() + ":3");
  REQUIRE(dataset.place(3) == (directory / "z.json").string() + ":1: element 0");
  REQUIRE(dataset.source_of(2) == 0);
  REQUIRE(dataset.source_of(3) == 1);
  REQUIRE(dataset.source_range(1) == std::pair<int64_t, int64_t>{3, 4});
  REQUIRE(dataset.sample(3).index == 3);
}

TEST_CASE("the number of workers changes no byte of a dataset", "[data]") {
  const TemporaryDirectory directory;
  std::string text;
  for (int i = 0; i < 3000; ++i)
    text += "{\"prompt\":\"p" + std::string(static_cast<size_t>(i % 37), 'x') + "\",\"completion\":\"" + std::to_string(i) + "\"}\n";
  auto options = options_for(directory.write("a.jsonl", text), "prompt_completion");
  const auto one = build(options);
  options.workers = 5;
  const auto five = build(options);
  REQUIRE(one.size() == 3000);
  REQUIRE(contents(one) == contents(five));
  REQUIRE(one.fingerprint() == five.fingerprint());
}

TEST_CASE("limit takes the first rows over all files", "[data]") {
  const TemporaryDirectory directory;
  directory.write("a.jsonl", "{\"input_ids\":[1,1]}\n{\"input_ids\":[2,1]}\n");
  directory.write("b.jsonl", "{\"input_ids\":[3,1]}\n{\"input_ids\":[4,1]}\nnot json");
  auto options = token_options((directory / "*.jsonl").string());
  options.sources[0].limit = 3;
  REQUIRE(first_ids(build(options)) == std::vector<int32_t>{1, 2, 3});
}

TEST_CASE("over-long samples are dropped, truncated or refused, and counted", "[data]") {
  const TemporaryDirectory directory;
  auto options = token_options(directory.write("a.jsonl", token_lines({3, 9, 8})));
  options.max_length = 8;
  const auto dropped = build(options);
  REQUIRE(dropped.size() == 2);
  REQUIRE(dropped.statistics().dropped_long == 1);
  REQUIRE(dropped.statistics().lines == 3);
  REQUIRE(dropped.statistics().longest == 8);

  options.on_overflow = Overflow::kTruncateRight;
  const auto truncated = build(options);
  REQUIRE(truncated.sample(1).ids == std::vector<int32_t>{100, 101, 102, 103, 104, 105, 106, 107});
  REQUIRE(truncated.statistics().truncated == 1);

  options.on_overflow = Overflow::kError;
  options.on_bad_sample = OnBadSample::kSkip;  // a policy of its own: skipping bad rows does not skip this
  const auto failure = failure_of([&] { build(options); });
  REQUIRE(failure.code == 65);
  REQUIRE(failure.where == (directory / "a.jsonl").string() + ":2");
  REQUIRE_THAT(failure.block, Contains("9 tokens long, max_length is 8"));
}

TEST_CASE("pretrain cuts a long document into pieces that lose no token", "[data]") {
  const TemporaryDirectory directory;
  for (const int64_t length : {5, 8, 9, 16, 17, 23, 24, 25}) {
    CAPTURE(length);
    auto options = token_options(directory.write("a.jsonl", token_lines({length})));
    options.max_length = 8;
    options.pretrain = true;
    const auto dataset = build(options);
    std::vector<int32_t> joined, expected;
    for (int64_t i = 0; i < dataset.size(); ++i) {
      const auto sample = dataset.sample(i);
      REQUIRE(sample.ids.size() <= 8);
      REQUIRE(sample.ids.size() > 1);  // one token alone has nothing to predict it
      REQUIRE(sample.labels == sample.ids);
      joined.insert(joined.end(), sample.ids.begin(), sample.ids.end());
    }
    for (int64_t t = 0; t < length; ++t) expected.push_back(static_cast<int32_t>(t));
    REQUIRE(joined == expected);
    REQUIRE(dataset.statistics().cut_documents == (length > 8));
  }
}

TEST_CASE("samples without a trained token are dropped and counted, also when truncation makes them so", "[data]") {
  const TemporaryDirectory directory;
  const std::string text =
      "{\"input_ids\":[1,2,3,4],\"labels\":[-100,-100,-100,4]}\n"
      "{\"input_ids\":[1,2,3],\"labels\":[-100,-100,-100]}\n"
      "{\"input_ids\":[1,2,3],\"labels\":[1,-100,-100]}\n"  // the first label never counts
      "{\"input_ids\":[1]}\n";
  auto options = token_options(directory.write("a.jsonl", text));
  const auto dataset = build(options);
  REQUIRE(dataset.size() == 1);
  REQUIRE(dataset.statistics().dropped_unsupervised == 3);
  REQUIRE(dataset.statistics().supervised_tokens == 1);
  options.max_length = 3;
  options.on_overflow = Overflow::kTruncateRight;
  const auto failure = failure_of([&] { build(options); });
  REQUIRE(failure.code == 65);
  REQUIRE_THAT(failure.block, Contains("none of its 4 rows can be trained on") && Contains("4 without a token to train on"));
}

TEST_CASE("the first bad row ends the build with its file and line, whatever the number of workers", "[data]") {
  const TemporaryDirectory directory;
  std::string text;
  for (int i = 1; i <= 2000; ++i) text += i == 700 || i == 701 || i == 1500 ? "{\"input_ids\":[1,-5]}\n" : "{\"input_ids\":[1,2]}\n";
  auto options = token_options(directory.write("a.jsonl", text));
  for (const int workers : {1, 2, 7}) {
    options.workers = workers;
    const auto failure = failure_of([&] { build(options); });
    REQUIRE(failure.code == 65);
    REQUIRE(failure.where == (directory / "a.jsonl").string() + ":700");
  }
  options.on_bad_sample = OnBadSample::kSkip;
  const auto dataset = build(options);
  REQUIRE(dataset.size() == 1997);
  REQUIRE(dataset.statistics().skipped_bad == 3);
  REQUIRE_THAT(dataset.statistics().first_bad, Contains("a.jsonl:700: input_ids[1] is -5"));
}

TEST_CASE("a broken array is an error even when bad rows are skipped: its rest cannot be found", "[data]") {
  const TemporaryDirectory directory;
  auto options = token_options(directory.write("a.json", "[{\"input_ids\":[1,2]},\n{\"input_ids\":[1,2]}"));
  options.on_bad_sample = OnBadSample::kSkip;
  const auto failure = failure_of([&] { build(options); });
  REQUIRE(failure.code == 65);
  REQUIRE(failure.where == (directory / "a.json").string() + ":2");
}

TEST_CASE("a source that gives no sample is an error with the counts", "[data]") {
  const TemporaryDirectory directory;
  REQUIRE_THAT(failure_of([&] { build(token_options(directory.write("a.jsonl", "\n\n"))); }).block, Contains("the data has no rows"));
  auto options = token_options(directory.write("b.jsonl", "x\ny\n"));
  options.on_bad_sample = OnBadSample::kSkip;
  const auto failure = failure_of([&] { build(options); });
  REQUIRE(failure.code == 65);
  REQUIRE_THAT(failure.block, Contains("2 bad") && Contains("b.jsonl:1:1"));
}

TEST_CASE("mistakes about a source are recipe errors at its place, or usage errors without one", "[data]") {
  const TemporaryDirectory directory;
  const auto good = directory.write("good.jsonl", token_lines({4}));
  directory.write("recipes/beside.jsonl", token_lines({4}));
  directory.write("a.jsonl.gz", "x");
  directory.write("a.parquet", "x");
  const auto refuse = [&](const std::function<void(SourceOptions&)>& change) {
    auto options = token_options(good);
    options.sources[0].recipe_place = "r.yaml:4:7";
    options.sources[0].recipe_directory = (directory / "recipes").string();
    change(options.sources[0]);
    const auto failure = failure_of([&] { Dataset::build(options, nullptr, nullptr); });
    REQUIRE(failure.code == 78);
    REQUIRE(failure.where == "r.yaml:4:7");
    return failure.block;
  };
  REQUIRE_THAT(refuse([&](auto& s) { s.path = (directory / "godo.jsonl").string(); }),
               Contains((directory / "godo.jsonl").string()) && Contains("did you mean: " + good));
  REQUIRE_THAT(refuse([&](auto& s) { s.path = "beside.jsonl"; }),
               Contains("beside the recipe") && Contains((directory / "recipes/beside.jsonl").string()));
  REQUIRE_THAT(refuse([&](auto& s) { s.path = (directory / "*.txt").string(); }), Contains("no file matches"));
  REQUIRE_THAT(refuse([&](auto& s) { s.path = directory.path().string(); }), Contains("is a directory"));
  REQUIRE_THAT(refuse([&](auto& s) { s.path = (directory / "a.jsonl.gz").string(); }),
               Contains("must end in .jsonl") && Contains("unpack it first"));
  REQUIRE_THAT(refuse([&](auto& s) { s.path = (directory / "a.parquet").string(); }), Contains("must end in .jsonl"));
  REQUIRE_THAT(refuse([&](auto& s) { s.path = "/dev/zero"; }), Contains("not a regular file"));
  REQUIRE_THAT(refuse([&](auto& s) { s.format = "mesages"; }), Contains("did you mean: messages"));
  REQUIRE_THAT(refuse([&](auto& s) { s.format = "messages"; }), Contains("needs a tokenizer"));
  REQUIRE_THAT(refuse([&](auto& s) { s.fields = {{"inputids", "x"}}; }), Contains("did you mean: input_ids"));
  REQUIRE_THAT(refuse([&](auto& s) { s.weight = 0; }), Contains("weight"));
  REQUIRE_THAT(refuse([&](auto& s) { s.weight = std::nan(""); }), Contains("weight"));
  REQUIRE_THAT(refuse([&](auto& s) { s.limit = 0; }), Contains("limit"));
  auto options = options_for((directory / "none.jsonl").string(), "tokens");
  REQUIRE(failure_of([&] { build(options); }).code == 64);
  options = options_for(good, "messages");
  REQUIRE_THAT(failure_of([&] { Dataset::build(options, &byte_tokenizer(), nullptr); }).block,
               Contains("needs a chat template") && Contains("data.template: chatml"));
  options = options_for(good, "text");
  options.eos_id = -1;
  REQUIRE_THAT(failure_of([&] { build(options); }).block, Contains("end-of-sequence"));
}

TEST_CASE("a signal stops tokenising with the code of a preempted run", "[data]") {
  const TemporaryDirectory directory;
  const auto options = token_options(directory.write("a.jsonl", token_lines({4})));
  {
    const graft::SignalFlag flag;
    ::raise(SIGUSR1);
    REQUIRE(failure_of([&] { build(options); }).code == 75);
  }
  const graft::SignalFlag forgets;
  REQUIRE(build(options).size() == 1);
}

TEST_CASE("split takes the fraction by seed, keeps file order and puts every sample on one side", "[data]") {
  const TemporaryDirectory directory;
  const auto dataset = build(token_options(directory.write("a.jsonl", token_lines(std::vector<int64_t>(100, 3)))));
  const auto [train, evaluation] = dataset.split(0.2, 7);
  REQUIRE(evaluation.size() == 20);
  REQUIRE(train.size() == 80);
  REQUIRE(std::is_sorted(train.begin(), train.end()));
  REQUIRE(std::is_sorted(evaluation.begin(), evaluation.end()));
  std::set<int64_t> all(train.begin(), train.end());
  all.insert(evaluation.begin(), evaluation.end());
  REQUIRE(all.size() == 100);
  REQUIRE(dataset.split(0.2, 7).second == evaluation);
  REQUIRE(dataset.split(0.2, 8).second != evaluation);
  REQUIRE(dataset.split(0.001, 7).second.size() == 1);
  REQUIRE(dataset.split(0.999, 7).first.size() == 1);
  REQUIRE(dataset.split(0, 7).second.empty());
  REQUIRE(failure_of([&] { dataset.split(1.0, 7); }).code == 78);
  REQUIRE(failure_of([&] { dataset.split(std::nan(""), 7); }).code == 78);
  const auto single = build(token_options(directory.write("b.jsonl", token_lines({3}))));
  REQUIRE(failure_of([&] { single.split(0.5, 7); }).code == 65);
}

TEST_CASE("split leaves the pieces of one document on one side", "[data]") {
  const TemporaryDirectory directory;
  auto options = token_options(directory.write("a.jsonl", token_lines(std::vector<int64_t>(20, 30))));
  options.max_length = 8;
  options.pretrain = true;
  const auto dataset = build(options);
  REQUIRE(dataset.size() == 80);
  std::set<std::string> train, evaluation;
  const auto sides = dataset.split(0.3, 1);
  for (const auto i : sides.first) train.insert(dataset.place(i));
  for (const auto i : sides.second) evaluation.insert(dataset.place(i));
  REQUIRE(evaluation.size() == 6);
  REQUIRE(train.size() == 14);
}

TEST_CASE("the gsm8k and instruct files are read whole", "[data]") {
  const char* given = std::getenv("GRAFT_TEST_DATA");
  const fs::path root = given != nullptr ? fs::path(given) : fs::path("../shared/data");
  if (!fs::exists(root / "gsm8k")) {
    std::puts("left out: the real data sets are not there (GRAFT_TEST_DATA)");
    return;
  }
  auto gsm8k = options_for((root / "gsm8k/train.jsonl").string(), "prompt_completion");
  gsm8k.sources[0].fields = {{"prompt", "question"}, {"completion", "answer"}};
  gsm8k.workers = 2;
  REQUIRE(build(gsm8k).size() == 7473);
  gsm8k.sources[0].fields.clear();
  REQUIRE_THAT(failure_of([&] { build(gsm8k); }).block,
               Contains("train.jsonl:1") && Contains("fields: [prompt=question, completion=answer]"));
  const auto rows = [&](const std::string& name, const std::string& format) {
    auto options = options_for((root / "instruct" / name).string(), format);
    options.max_length = 100000;
    return build(options).statistics().lines;
  };
  REQUIRE(rows("alpaca_en_demo.json", "alpaca") == 999);
  REQUIRE(rows("identity.json", "alpaca") == 91);
  REQUIRE(rows("v1_sft_demo.jsonl", "messages") == 500);
  REQUIRE(rows("glaive_toolcall_en_demo.json", "sharegpt") == 300);
}
