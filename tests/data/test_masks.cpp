#include <functional>

#include "data/support.h"

using namespace data_test;
using Kind = graft::text::TrainOn::Kind;

namespace {

/// The text of the trained tokens, `.` for each one that is not; specials as ^ and $.
std::string trained_text(const graft::data::Sample& sample) {
  std::string text;
  for (size_t t = 0; t < sample.ids.size(); ++t) {
    REQUIRE((sample.labels[t] == -100 || sample.labels[t] == sample.ids[t]));
    const int32_t id = sample.ids[t];
    const std::string words = id == kBos ? "^" : id == kEos ? "$" : id == kAb ? "ab" : std::string(1, static_cast<char>(id - 3));
    text += sample.labels[t] == -100 ? "." : words;
  }
  return text;
}

std::string one(
    const std::string& format, const std::string& row, const std::function<void(DatasetOptions&)>& change = [](DatasetOptions&) {},
    const graft::text::ChatTemplate& chat_template = chatml()) {
  const TemporaryDirectory directory;
  auto options = options_for(directory.write("a.jsonl", row), format);
  change(options);
  return trained_text(Dataset::build(options, &byte_tokenizer(), &chat_template).sample(0));
}

/// Two questions, two answers; the first answer carries `mark`.
std::string two_answers(const std::string& first, const std::string& mark) {
  return R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":")" + first + "\"" + mark +
         R"(},{"role":"user","content":"r"},{"role":"assistant","content":"two"}]})";
}

std::string dots(size_t count) { return std::string(count, '.'); }

}  // namespace

TEST_CASE("a prompt is masked, its completion and the end-of-sequence are trained on", "[data]") {
  REQUIRE(one("prompt_completion", R"({"prompt":"xyz","completion":"uv"})") == dots(4) + "uv$");
  REQUIRE(one("prompt_completion", R"({"prompt":"","completion":"uv"})") == ".uv$");
  REQUIRE(one("prompt_completion", R"({"prompt":"xyz","completion":""})") == dots(4) + "$");
}

TEST_CASE("a token that begins in the prompt is masked even when it ends in the completion", "[data]") {
  REQUIRE(one("prompt_completion", R"({"prompt":"xa","completion":"bv"})") == dots(3) + "v$");  // ^ x ab v $
}

TEST_CASE("an end-of-sequence that the text already has is not doubled, but trained on", "[data]") {
  REQUIRE(one("prompt_completion", R"({"prompt":"x","completion":"v</s>"})") == "..v$");
  REQUIRE(one("text", R"({"text":"v</s>"})") == "^v$");
}

TEST_CASE("train_on all and roles reach prompt and completion", "[data]") {
  const std::string row = R"({"prompt":"xyz","completion":"uv"})";
  REQUIRE(one("prompt_completion", row, [](auto& o) { o.train_on.kind = Kind::kAll; }) == "^xyzuv$");
  REQUIRE(one("prompt_completion", row, [](auto& o) { o.train_on = {Kind::kRoles, {"user"}}; }) == "^xyz...");
  REQUIRE(one("prompt_completion", row, [](auto& o) { o.pretrain = true; }) == "^xyzuv$");
}

TEST_CASE("text is trained on whole, with BOS from the tokenizer and end-of-sequence", "[data]") {
  REQUIRE(one("text", R"({"text":"hello"})") == "^hello$");
}

TEST_CASE("a conversation's completion is trained on, assistant turns of its prompt are not", "[data]") {
  const std::string row = R"({"prompt":[{"role":"user","content":"q"},{"role":"assistant","content":"old"},{"role":"user","content":"r"}],
      "completion":[{"role":"assistant","content":"new"}]})";
  std::string line;
  for (const char c : row)
    if (c != '\n') line += c;
  const auto text = one("prompt_completion", line);
  REQUIRE(text.find("old") == std::string::npos);
  REQUIRE(text.find("new<|im_end|>") != std::string::npos);
  REQUIRE(text.substr(0, text.find("new")).find_first_not_of('.') == std::string::npos);
}

TEST_CASE("a message marked as not trained on is masked", "[data]") {
  const auto row = [](const std::string& mark) { return two_answers("one", mark); };
  REQUIRE_THAT(one("messages", row("")), Contains("one<|im_end|>") && Contains("two<|im_end|>"));
  for (const char* mark :
       {",\"weight\":0", ",\"loss_weight\":0.0", ",\"train\":false", ",\"training\":false", ",\"train\":0", ",\"weight\":false"}) {
    const auto text = one("messages", row(mark));
    REQUIRE_THAT(text, !Contains("one") && Contains("two<|im_end|>"));
  }
  for (const char* mark : {",\"weight\":1", ",\"train\":true", ",\"training\":1.0", ",\"train\":null"})
    REQUIRE_THAT(one("messages", row(mark)), Contains("one<|im_end|>"));
  REQUIRE_THAT(failure_of([&] { one("messages", row(",\"weight\":0.5")); }).block, Contains("messages[1].weight is 0.5"));
  const auto quoted = failure_of([&] { one("messages", row(",\"train\":\"false\"")); });
  REQUIRE(quoted.code == 65);
  REQUIRE_THAT(quoted.block, Contains("messages[1].train is \"false\"") && Contains("without quotes"));
}

TEST_CASE("a mark on a sharegpt turn counts as on a message", "[data]") {
  const auto text = one("sharegpt", R"({"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"one","loss_weight":0},)"
                                    R"({"from":"human","value":"r"},{"from":"gpt","value":"two"}]})");
  REQUIRE_THAT(text, !Contains("one") && Contains("two<|im_end|>"));
}

TEST_CASE("a token that reaches into a marked turn from its header is masked, as it would be trained", "[data]") {
  const graft::text::ChatTemplate headed(
      "{% for m in messages %}{{ m.role[0] ~ 'a' ~ m.content ~ '|' }}{% endfor %}{% if add_generation_prompt %}aa{% endif %}", {});
  const auto row = [](const std::string& mark) { return two_answers("bc", mark); };  // u a q | a ab c | u a r | a a t w o |
  REQUIRE(one(
              "messages", row(""), [](auto&) {}, headed) == dots(5) + "abc|" + dots(6) + "two|");
  REQUIRE(one(
              "messages", row(",\"weight\":0"), [](auto&) {}, headed) == dots(14) + "two|");
}

TEST_CASE("with last-assistant an earlier turn's mark changes nothing, whatever the template makes of that turn", "[data]") {
  const graft::text::ChatTemplate forgetful(
      "{% for m in messages %}{{ m.role[0] ~ ':' ~ (m.content if m.role == 'user' or loop.last) ~ '|' }}{% endfor %}"
      "{% if add_generation_prompt %}a:{% endif %}",
      {});
  const auto last = [](auto& options) { options.train_on.kind = Kind::kLastAssistant; };
  REQUIRE(one("messages", two_answers("one", ",\"weight\":0"), last, forgetful) == dots(13) + "two|");
}
