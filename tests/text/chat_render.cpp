// Reads conversations from standard input, one JSON object a line, and writes what the chat template makes of each: the parity
// tests compare it with transformers.
//   {"template": "…", "messages": […], "add_generation_prompt": false, "tools": …, "documents": …, "extra": {…}, "date": "…",
//    "special_tokens": {…}, "tokenizer": "DIR or tokenizer.json", "train_on": "assistant" | "last-assistant" | "all" | ["role", …]}
// gives {"text": "…", "generation": [[begin, end], …]} in bytes, with a tokenizer also {"ids": […], "labels": […]},
// or {"error": "…"}.
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/text/chat_encoder.h"
#include "graft/text/chat_template.h"
#include "graft/text/tokenizer.h"

namespace {

using graft::Json;

graft::text::RenderOptions options_of(const Json& line) {
  graft::text::RenderOptions options;
  options.add_generation_prompt = line.value("add_generation_prompt", false);
  options.tools = line.value("tools", Json());
  options.documents = line.value("documents", Json());
  options.extra = line.value("extra", Json::object());
  options.date = line.value("date", std::string("2024-07-26"));
  return options;
}

graft::text::TrainOn train_on_of(const Json& line) {
  using Kind = graft::text::TrainOn::Kind;
  const Json& asked = line["train_on"];
  if (asked.is_array()) return {Kind::kRoles, asked.get<std::vector<std::string>>()};
  if (asked == "all") return {Kind::kAll, {}};
  return {asked == "last-assistant" ? Kind::kLastAssistant : Kind::kAssistant, {}};
}

const graft::text::Tokenizer& tokenizer_at(const std::string& path) {
  static std::map<std::string, std::unique_ptr<graft::text::Tokenizer>> loaded;
  auto& tokenizer = loaded[path];
  if (!tokenizer) tokenizer = std::make_unique<graft::text::Tokenizer>(graft::text::Tokenizer::load(path));
  return *tokenizer;
}

Json answer(const Json& line) {
  const auto tokens = line.value("special_tokens", std::map<std::string, std::string>());
  const graft::text::ChatTemplate chat_template(line.at("template").get<std::string>(), tokens);
  const auto options = options_of(line);
  Json result;
  if (line.contains("train_on")) {
    const auto encoded =
        graft::text::encode_chat(tokenizer_at(line.at("tokenizer")), chat_template, line.at("messages"), train_on_of(line), options);
    result["ids"] = encoded.ids;
    result["labels"] = encoded.labels;
  }
  const auto rendered = chat_template.render(line.at("messages"), options);
  result["text"] = rendered.text;
  result["generation"] = Json::array();
  for (const auto& span : rendered.generation) result["generation"].push_back({span.begin, span.end});
  return result;
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    Json result;
    try {
      result = answer(graft::parse_json(line, "standard input"));
    } catch (const graft::Error& error) {
      result = {{"error", error.message()}, {"where", error.where()}};
    }
    std::cout << graft::dump_json(result) << "\n";
  }
}
