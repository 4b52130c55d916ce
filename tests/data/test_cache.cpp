#include <sys/wait.h>

#include <map>

#include "data/support.h"
#include "graft/base/files.h"

using namespace data_test;

namespace {

std::vector<fs::path> cache_files(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.path().extension() == ".tokens") files.push_back(entry.path());
  return files;
}

DatasetOptions cached(const TemporaryDirectory& directory, const std::string& path, const std::string& format) {
  auto options = options_for(path, format);
  options.cache_directory = (directory / "cache").string();
  options.vocabulary_size = 1000000;
  return options;
}

void require_equal(const Dataset& a, const Dataset& b) {
  REQUIRE(a.size() == b.size());
  REQUIRE(a.fingerprint() == b.fingerprint());
  REQUIRE(a.statistics().tokens == b.statistics().tokens);
  REQUIRE(a.statistics().supervised_tokens == b.statistics().supervised_tokens);
  REQUIRE(a.statistics().first_bad == b.statistics().first_bad);
  for (int64_t i = 0; i < a.size(); ++i) {
    REQUIRE(a.sample(i).ids == b.sample(i).ids);
    REQUIRE(a.sample(i).labels == b.sample(i).labels);
    REQUIRE(a.place(i) == b.place(i));
  }
}

}  // namespace

TEST_CASE("a dataset from the cache equals the one just made and the one without a cache", "[data]") {
  const TemporaryDirectory directory;
  auto options = cached(directory, directory.write("a.jsonl", token_lines({4, 1, 7, 300}) + "bad\n"), "tokens");
  options.on_bad_sample = DatasetOptions::OnBadSample::kSkip;
  const auto made = build(options);
  REQUIRE(cache_files(directory / "cache").size() == 1);
  const auto read = build(options);
  REQUIRE(cache_files(directory / "cache").size() == 1);
  options.cache_directory.clear();
  const auto plain = build(options);
  require_equal(made, read);
  require_equal(made, plain);
}

TEST_CASE("what determines the samples is in the cache's key, what does not is not", "[data]") {
  const TemporaryDirectory directory;
  const auto path = directory.write("a.jsonl", token_lines({4, 1, 7}));
  const auto base = cached(directory, path, "tokens");
  const auto key = [&](const DatasetOptions& options) { return build(options).fingerprint(); };
  const auto first = key(base);
  auto changed = base;
  changed.max_length = 6;
  REQUIRE(key(changed) != first);
  changed = base, changed.on_overflow = DatasetOptions::Overflow::kTruncateRight;
  REQUIRE(key(changed) != first);
  changed = base, changed.sources[0].limit = 2;
  REQUIRE(key(changed) != first);
  changed = base, changed.pretrain = true;
  REQUIRE(key(changed) != first);
  changed = base, changed.train_on.kind = graft::text::TrainOn::Kind::kAll;
  REQUIRE(key(changed) != first);
  changed = base, changed.workers = 3, changed.template_date = "2030-01-01";
  REQUIRE(key(changed) == first);
  changed = base, changed.sources[0].path = directory.write("elsewhere/b.jsonl", token_lines({4, 1, 7}));
  REQUIRE(key(changed) == first);
  directory.write("a.jsonl", token_lines({4, 2, 7}));  // another length of one sample: other content under the same name
  REQUIRE(key(base) != first);
}

TEST_CASE("a template is in the key with the one for tools, its special tokens and the date if it asks for it", "[data]") {
  const TemporaryDirectory directory;
  const auto path = directory.write("a.jsonl", R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})");
  auto options = cached(directory, path, "messages");
  options.train_on.kind = graft::text::TrainOn::Kind::kAll;
  const auto key = [&](const std::string& for_tools, const std::string& eos, const std::string& date) {
    directory.write("model/tokenizer_config.json",
                    R"({"chat_template":[{"name":"default","template":"xyz"},{"name":"tool_use","template":")" + for_tools +
                        R"("}],"eos_token":")" + eos + R"("})");
    options.template_date = date;
    const auto chat_template = graft::text::ChatTemplate::load(directory / "model");
    return Dataset::build(options, &byte_tokenizer(), &chat_template).fingerprint();
  };
  const auto first = key("t", "</s>", "2024-01-01");
  REQUIRE(key("t", "</s>", "2030-01-01") == first);
  REQUIRE(key("u", "</s>", "2024-01-01") != first);
  REQUIRE(key("t", "<s>", "2024-01-01") != first);
  const auto dated = key("{{ strftime_now('%Y') }}", "</s>", "2024-01-01");
  REQUIRE(key("{{ strftime_now('%Y') }}", "</s>", "2030-01-01") != dated);
}

TEST_CASE("a damaged cache file is found and built again", "[data]") {
  const TemporaryDirectory directory;
  const auto options = cached(directory, directory.write("a.jsonl", token_lines({4, 9, 7})), "tokens");
  const auto original = build(options);
  const auto file = cache_files(directory / "cache").at(0);
  const std::string sound = graft::read_file(file);
  const auto damage = [&](const std::string& bytes) {
    fs::remove(file);  // a new inode: the datasets above keep theirs
    std::ofstream(file, std::ios::binary) << bytes;
    require_equal(build(options), original);
    REQUIRE(graft::read_file(file) == sound);
  };
  for (size_t at = 0; at < sound.size(); at += 7) {
    std::string bytes = sound;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    damage(bytes);
  }
  damage(sound.substr(0, sound.size() / 2));
  damage(sound + std::string(8, '\0'));
  damage("");
  damage(std::string(sound.size(), '\0'));
}

TEST_CASE("what a killed writer left behind is removed by the next one", "[data]") {
  const TemporaryDirectory directory;
  const auto options = cached(directory, directory.write("a.jsonl", token_lines({4})), "tokens");
  build(options);
  const auto file = cache_files(directory / "cache").at(0);
  fs::remove(file);
  const std::string leftover = file.string() + ".tmp-1";
  std::ofstream(leftover) << "half";
  build(options);
  REQUIRE_FALSE(fs::exists(leftover));
}

TEST_CASE("several processes that want the same cache at once all get it, made once and whole", "[data]") {
  const TemporaryDirectory directory;
  const auto options = cached(directory, directory.write("a.jsonl", token_lines(std::vector<int64_t>(4000, 50))), "tokens");
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      int64_t tokens = 0;
      try {
        tokens = build(options).statistics().tokens;
      } catch (...) {
      }
      ::_exit(tokens == 4000 * 50 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
  }
  REQUIRE(cache_files(directory / "cache").size() == 1);
}

TEST_CASE("without a place to write, tokens stay in memory and the build goes on", "[data]") {
  const TemporaryDirectory directory;
  auto options = cached(directory, directory.write("a.jsonl", token_lines({4, 5})), "tokens");
  options.cache_directory = directory.write("occupied", "a file, not a folder") + "/cache";
  REQUIRE(build(options).size() == 2);
}
