#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/text/chat_encoder.h"
#include "graft/text/chat_template.h"
#include "graft/text/tokenizer.h"
#include "support/catch.h"

namespace {

namespace fs = std::filesystem;
using graft::Json;
using graft::text::ChatTemplate;
using graft::text::RenderOptions;

fs::path data() {
  const char* chosen = std::getenv("GRAFT_TEST_DATA");
  return chosen != nullptr ? fs::path(chosen) : fs::path("../shared/data");
}

/// False, with a line that says what is left out, when the real material is not there.
bool have(const fs::path& path) {
  if (fs::exists(path)) return true;
  std::cout << "left out: " << path << " is not there (set GRAFT_TEST_DATA)\n";
  return false;
}

std::vector<Json> lines_of(const fs::path& path) {
  std::vector<Json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(graft::parse_json(line, path.string()));
  return lines;
}

std::vector<fs::path> files_with(const fs::path& folder, const std::string& extension) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == extension) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

TEST_CASE("real templates render every conversation as transformers does, or refuse it as transformers does", "[chat][golden]") {
  const fs::path folder = data() / "chat_templates";
  if (!have(folder)) return;
  size_t texts = 0, refusals = 0;
  for (const fs::path& path : files_with(folder, ".jinja")) {
    INFO(path);
    const ChatTemplate chat_template(graft::read_file(path), {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, path.filename().string());
    for (const Json& expected : lines_of(fs::path(path).replace_extension(".expected.jsonl"))) {
      RenderOptions options;
      options.add_generation_prompt = expected["add_generation_prompt"];
      INFO(expected.dump());
      if (expected.contains("error")) {
        CHECK_THROWS_AS(chat_template.render(expected["messages"], options), graft::DataError);
        ++refusals;
      } else {
        CHECK(chat_template.render(expected["messages"], options).text == expected["text"].get<std::string>());
        ++texts;
      }
    }
  }
  std::cout << "golden templates: " << texts << " texts equal, " << refusals << " refused as expected\n";
  CHECK(texts + refusals > 0);
}

TEST_CASE("a model's own template and tokenizer give the ids of transformers' apply_chat_template", "[chat][golden]") {
  const fs::path folder = data() / "tokenizers";
  if (!have(folder)) return;
  size_t compared = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path expected_path = entry.path() / "chat_expected.jsonl";
    if (!fs::exists(expected_path)) continue;
    INFO(entry.path());
    const auto tokenizer = graft::text::Tokenizer::load(entry.path());
    const auto chat_template = ChatTemplate::load(entry.path());
    for (const Json& expected : lines_of(expected_path)) {
      RenderOptions options;
      options.add_generation_prompt = expected["add_generation_prompt"];
      options.date = "2026-11-24";  // the day on which the reference was made: Llama 3.2's template writes it
      INFO(expected.dump());
      if (expected.contains("error")) {
        CHECK_THROWS_AS(graft::text::encode_chat(tokenizer, chat_template, expected["messages"], {}, options), graft::DataError);
        continue;
      }
      CHECK(chat_template.render(expected["messages"], options).text == expected["text"].get<std::string>());
      const auto encoded =
          graft::text::encode_chat(tokenizer, chat_template, expected["messages"], {graft::text::TrainOn::Kind::kAll, {}}, options);
      const Json& ids = expected.contains("ids_tokenizers") ? expected["ids_tokenizers"] : expected["ids"];
      CHECK(encoded.ids == ids.get<std::vector<int32_t>>());
      ++compared;
    }
  }
  std::cout << "golden chats: " << compared << " conversations with equal ids\n";
  CHECK(compared > 0);
}
