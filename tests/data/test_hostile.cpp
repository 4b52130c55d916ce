#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "data/support.h"
#include "graft/base/random.h"
#include "support/sanitizer.h"

using namespace data_test;

namespace {

const char* const kSeeds[][2] = {
    {"messages",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\",\"weight\":1}],\"tools\":\"[]\"}\n"},
    {"sharegpt", "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"a\"}],\"system\":\"s\"}\n"},
    {"alpaca", "{\"instruction\":\"i\",\"input\":\"x\",\"output\":\"o\",\"history\":[[\"a\",\"b\"]]}\n"},
    {"prompt_completion", "{\"prompt\":\"p\\u00e9\\ud83d\\ude00\",\"completion\":\"c\"}\n"},
    {"text", "{\"text\":\"some text \xC3\xA9\"}\n"},
    {"tokens", "{\"input_ids\":[1,2,3,4],\"labels\":[-100,2,3,4]}\n"},
};

std::string mutated(std::string text, graft::RandomStream& stream) {
  const char pieces[] = "{}[]\",:\\0-1e.\n\r\t tfnu\xFF\xC3";
  for (uint64_t edits = 1 + stream.below(4); edits > 0 && !text.empty(); --edits) {
    const size_t at = stream.below(text.size());
    switch (stream.below(5)) {
      case 0:
        text[at] = static_cast<char>(stream.below(256));
        break;
      case 1:
        text.erase(at, 1 + stream.below(8));
        break;
      case 2:
        text.insert(at, 1, pieces[stream.below(sizeof pieces)]);
        break;
      case 3:
        text.insert(at, text.substr(stream.below(text.size()), 1 + stream.below(20)));
        break;
      default:
        text.resize(at);
    }
  }
  return text;
}

/// Sends stderr nowhere while it lives: thousands of warnings about skipped rows are not news here.
class QuietStderr {
 public:
  QuietStderr() : saved_(::dup(2)) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, 2);
    ::close(nowhere);
  }
  ~QuietStderr() {
    ::dup2(saved_, 2);
    ::close(saved_);
  }

 private:
  int saved_;
};

/// Resident memory of this process now, in bytes.
int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace

TEST_CASE("thousands of damaged files end in a typed error or in samples, never otherwise", "[data]") {
  const TemporaryDirectory directory;
  const QuietStderr quiet;
  graft::RandomStream stream(2024, "mutations");
  int refused = 0, accepted = 0;
  for (int round = 0; round < 600; ++round)
    for (const auto& [format, line] : kSeeds) {
      const bool array = round % 3 == 0;
      std::string text = array ? "[" + std::string(line) + "," + line + "]" : std::string(line) + line;
      const auto path = directory.write(array ? "a.json" : "a.jsonl", mutated(std::move(text), stream));
      auto options = options_for(path, format);
      options.on_bad_sample = round % 2 ? DatasetOptions::OnBadSample::kSkip : DatasetOptions::OnBadSample::kError;
      try {
        const auto dataset = build(options);
        REQUIRE(dataset.size() > 0);
        for (int64_t i = 0; i < dataset.size(); ++i) REQUIRE(dataset.sample(i).ids.size() == dataset.sample(i).labels.size());
        ++accepted;
      } catch (const graft::DataError& error) {
        REQUIRE(error.where().rfind(path, 0) == 0);
        ++refused;
      }
    }
  REQUIRE(refused > 500);  // otherwise the mutations would test nothing
  REQUIRE(accepted > 500);
}

TEST_CASE("reading a large file keeps its tokens, not its text, in memory", "[data]") {
  const TemporaryDirectory directory;
  const auto path = (directory / "large.jsonl").string();
  {
    // 30 MB of text that makes few tokens: a prompt of spaces inside the JSON, outside its strings.
    std::ofstream file(path, std::ios::binary);
    const std::string line = "{\"input_ids\":" + std::string(3000, ' ') + "[1,2,3]}\n";
    for (int i = 0; i < 10000; ++i) file << line;
  }
  REQUIRE(fs::file_size(path) > 30000000);
  auto options = options_for(path, "tokens");
  options.workers = 2;
  build(options);  // warms the allocator up
  const int64_t before = resident_bytes();
  const auto dataset = build(options);
  const int64_t grown = resident_bytes() - before;
  REQUIRE(dataset.size() == 10000);
  if (graft::test::kAddressSanitizer) {
    WARN("AddressSanitizer keeps freed memory back: the memory taken is not judged with this build");
    return;
  }
  // Tokens and index are 0.6 MB in a block of 4 MB; buffers 1 MB; 8 batches of 256 KiB under way. The text would be 30 MB.
  REQUIRE(grown < (int64_t{12} << 20));
}
