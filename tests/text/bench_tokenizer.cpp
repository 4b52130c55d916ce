// bench_tokenizer TOKENIZER TEXTS.jsonl SECONDS: encodes every text (a JSON string per line, or an object with "text"), one thread, over
// and over for the given time; prints one JSON object: load_s, bytes, tokens, passes, first_s and best_s (the first and the fastest pass).
// Times are processor time: other programs on the machine do not show in it. bench_tokenizer --ids TOKENIZER TEXTS.jsonl: prints {"ids",
// "ids_no_special", "decoded", "offsets"} per line instead.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/text/tokenizer.h"

namespace {

using graft::Json;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::vector<std::string> read_texts(const std::string& path) {
  std::vector<std::string> texts;
  for (const std::string& line : graft::split(graft::read_file(path), '\n')) {
    if (line.empty()) continue;
    const Json value = graft::parse_json(line, path);
    texts.push_back(value.is_object() ? value.at("text").get<std::string>() : value.get<std::string>());
  }
  return texts;
}

void print_ids(const graft::text::Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    Json line;
    line["ids"] = tokenizer.encode(text);
    line["ids_no_special"] = tokenizer.encode(text, false);
    line["decoded"] = tokenizer.decode(line["ids_no_special"].get<std::vector<int32_t>>());
    line["offsets"] = Json::array();
    for (const auto& token : tokenizer.encode_with_offsets(text, false)) line["offsets"].push_back({token.begin, token.end, token.id});
    std::cout << graft::dump_json(line) << '\n';
  }
}

void measure(const graft::text::Tokenizer& tokenizer, double load_seconds, const std::vector<std::string>& texts, double seconds) {
  size_t bytes = 0, tokens = 0;
  int passes = 0;
  double best = 1e9, first = 0;
  for (const std::string& text : texts) bytes += text.size();
  const double deadline = now() + seconds;
  do {
    tokens = 0;
    const double begin = processor_seconds();
    for (const std::string& text : texts) tokens += tokenizer.encode(text).size();
    const double took = processor_seconds() - begin;
    best = std::min(best, took);
    if (passes++ == 0) first = took;
  } while (now() < deadline);
  std::cout
      << graft::dump_json(
             {{"load_s", load_seconds}, {"bytes", bytes}, {"tokens", tokens}, {"passes", passes}, {"first_s", first}, {"best_s", best}})
      << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  try {
    const bool ids = std::string(argv[1]) == "--ids";
    const double begin = processor_seconds();
    const auto tokenizer = graft::text::Tokenizer::load(argv[ids ? 2 : 1]);
    const double load_seconds = processor_seconds() - begin;
    const auto texts = read_texts(argv[ids ? 3 : 2]);
    if (ids) {
      print_ids(tokenizer, texts);
    } else {
      measure(tokenizer, load_seconds, texts, std::stod(argv[3]));
    }
    return 0;
  } catch (const graft::Error& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(error.code());
  }
}
