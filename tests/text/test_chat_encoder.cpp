#include <filesystem>
#include <string>
#include <vector>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/text/chat_encoder.h"
#include "support/catch.h"

namespace {

using graft::DataError;
using graft::Json;
using graft::text::ChatTemplate;
using graft::text::TrainOn;
using Kind = graft::text::TrainOn::Kind;

/// One token per byte, so that the trained text is the trained tokens' text: masks are checked without a real vocabulary.
const graft::text::Tokenizer& bytes_tokenizer() {
  static const auto tokenizer = [] {
    Json vocabulary = Json::object();
    std::string alphabet;
    for (int c = 32; c < 127; ++c) alphabet += static_cast<char>(c);
    int id = 0;
    for (const char c : alphabet) vocabulary[c == ' ' ? "\xC4\xA0" : std::string(1, c)] = id++;
    vocabulary["\xC4\x8A"] = id++;  // newline in the byte alphabet
    const Json file = {
        {"version", "1.0"},
        {"truncation", nullptr},
        {"padding", nullptr},
        {"added_tokens", Json::array()},
        {"normalizer", nullptr},
        {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}}},
        {"post_processor", nullptr},
        {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}}},
        {"model",
         {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", vocabulary},
          {"merges", Json::array()}}}};
    const auto path = std::filesystem::temp_directory_path() / "graft-chat-encoder-tokenizer.json";
    graft::write_file(path, file.dump());
    auto loaded = graft::text::Tokenizer::load(path);
    std::filesystem::remove(path);
    return loaded;
  }();
  return tokenizer;
}

/// The text with trained runs in «».
std::string masked(const std::string& source, const Json& messages, const TrainOn& train_on) {
  const auto encoded = graft::text::encode_chat(bytes_tokenizer(), ChatTemplate(source, {}), messages, train_on);
  std::string out;
  bool inside = false;
  for (size_t i = 0; i < encoded.ids.size(); ++i) {
    const bool is_trained = encoded.labels[i] != -100;
    if (is_trained) CHECK(encoded.labels[i] == encoded.ids[i]);
    if (is_trained != inside) out += is_trained ? "«" : "»";
    inside = is_trained;
    out += bytes_tokenizer().decode({encoded.ids[i]});
  }
  return out + (inside ? "»" : "");
}

const std::string kPlain =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
const std::string kBlocks =
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</>{% endgeneration %}{% else %}{{ "
    "m.content }}</>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

Json conversation(const std::vector<std::pair<std::string, std::string>>& turns) {
  Json messages = Json::array();
  for (const auto& [role, content] : turns) messages.push_back({{"role", role}, {"content", content}});
  return messages;
}

const Json kTwoTurns = conversation({{"system", "S"}, {"user", "u1"}, {"assistant", "a1"}, {"user", "u2"}, {"assistant", "a2"}});

}  // namespace

TEST_CASE("with and without generation blocks the assistant's words and ends of turn are trained, and nothing else", "[chat]") {
  for (const std::string& source : {kPlain, kBlocks}) {
    CHECK(masked(source, kTwoTurns, {Kind::kAssistant, {}}) == "<system>S</><user>u1</><assistant>«a1</>»<user>u2</><assistant>«a2</>»");
    CHECK(masked(source, kTwoTurns, {Kind::kLastAssistant, {}}) == "<system>S</><user>u1</><assistant>a1</><user>u2</><assistant>«a2</>»");
    CHECK(masked(source, kTwoTurns, {Kind::kAll, {}}) == "«<system>S</><user>u1</><assistant>a1</><user>u2</><assistant>a2</>»");
    CHECK(masked(source, kTwoTurns, {Kind::kRoles, {"user", "assistant"}}) ==
          "<system>S</><user>«u1</>»<assistant>«a1</>»<user>«u2</>»<assistant>«a2</>»");
    CHECK(masked(source, kTwoTurns, {Kind::kRoles, {"system"}}) == "<system>«S</>»<user>u1</><assistant>a1</><user>u2</><assistant>a2</>");
  }
}

TEST_CASE("edge conversations: none of the assistant's, assistant first, two in a row, empty words", "[chat]") {
  for (const std::string& source : {kPlain, kBlocks}) {
    CHECK(masked(source, conversation({{"user", "u"}}), {}) == "<user>u</>");
    CHECK(masked(source, conversation({{"assistant", "a"}, {"user", "u"}}), {}) == "<assistant>«a</>»<user>u</>");
    CHECK(masked(source, conversation({{"user", "u"}, {"assistant", "a"}, {"assistant", "b"}}), {}) ==
          "<user>u</><assistant>«a</>»<assistant>«b</>»");
    CHECK(masked(source, conversation({{"user", "u"}, {"assistant", ""}}), {}) == "<user>u</><assistant>«</>»");
    CHECK(masked(source, conversation({{"user", "<assistant>x</>"}, {"assistant", "a"}}), {}) ==
          "<user><assistant>x</></><assistant>«a</>»");
  }
  CHECK_THROWS_AS(masked(kPlain, Json::array(), {}), DataError);
}

TEST_CASE("a template that rewrites earlier turns is refused with the message and the remedy", "[chat]") {
  const std::string rewriting =
      "{% for m in messages %}<{{ m.role }}>{{ m.content if loop.last or m.role != 'assistant' else m.content.split('|')[-1] }}</>{% "
      "endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}";
  const Json messages = conversation({{"user", "u"}, {"assistant", "think|a"}, {"user", "v"}, {"assistant", "think|b"}});
  CHECK_THROWS_WITH(masked(rewriting, messages, {}), Contains("messages[1]") && Contains("last-assistant") && Contains("generation"));
  CHECK(masked(rewriting, messages, {Kind::kLastAssistant, {}}) == "<user>u</><assistant>a</><user>v</><assistant>«think|b</>»");
}

TEST_CASE("last-assistant trains the last turn's blocks, however many blocks or none each turn has", "[chat]") {
  const std::string thinking =
      "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% if m.why %}{% generation %}({{ m.why }}){% endgeneration %} "
      "{% endif %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
  Json messages = conversation({{"user", "u"}, {"assistant", "a1"}, {"user", "v"}, {"assistant", ""}});
  messages[1]["why"] = "w1";
  const TrainOn last{Kind::kLastAssistant, {}};
  CHECK(masked(thinking, messages, last) == "<user>u<assistant>(w1) a1<user>v<assistant>");
  messages[1] = {{"role", "assistant"}, {"content", ""}};
  messages[3] = {{"role", "assistant"}, {"content", "a2"}, {"why", "w2"}};
  CHECK(masked(thinking, messages, last) == "<user>u<assistant><user>v<assistant>«(w2)» «a2»");
  // Only the last turn keeps its reasoning: what a prefix of the conversation renders says nothing about the whole.
  const std::string only_last =
      "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% if m.why and loop.last %}{% generation %}({{ m.why }})"
      "{% endgeneration %}{% endif %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
  const Json twice = {{{"role", "user"}, {"content", "u"}},
                      {{"role", "assistant"}, {"content", "a1"}, {"why", "w1"}},
                      {{"role", "assistant"}, {"content", "a2"}, {"why", "w2"}}};
  CHECK_THROWS_WITH(masked(only_last, twice, last), Contains("messages[2]") && Contains("tell"));
}

TEST_CASE("a generation prompt that opens more than the turn's header does not hide the words", "[chat]") {
  const std::string thinking =
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant><think>{% endif %}";
  CHECK(masked(thinking, conversation({{"user", "u"}, {"assistant", "<t"}}), {}) == "<user>u</><assistant>«<t</>»");
  CHECK(masked(thinking, conversation({{"user", "u"}, {"assistant", "<think>x"}}), {}) == "<user>u</><assistant><think>«x</>»");
}

TEST_CASE("prefixes that the template refuses are not needed where the words can be found without", "[chat]") {
  const std::string strict =
      "{% if messages[0].role != 'assistant' and messages|length == 1 %}{{ raise_exception('alone') }}{% endif %}" + kPlain;
  CHECK(masked(strict, conversation({{"user", "u"}, {"assistant", "a"}}), {}) == "<user>u</><assistant>«a</>»");
}

TEST_CASE("content that moves or vanishes can not be trained on by difference", "[chat]") {
  const std::string moved = "{{ messages[-1].content }}{% for m in messages %}<{{ m.role }}>{% endfor %}";
  CHECK_THROWS_AS(masked(moved, conversation({{"user", "u"}, {"assistant", "a"}, {"user", "v"}}), {}), DataError);
  const std::string hidden = "{% for m in messages %}<{{ m.role }}>{% endfor %}";
  CHECK_THROWS_AS(masked(hidden, conversation({{"user", "u"}, {"assistant", "a"}}), {Kind::kRoles, {"user"}}), DataError);
}

TEST_CASE("a generation block whose text is changed afterwards is refused", "[chat]") {
  const std::string changed =
      "{% set x %}{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}{% endset %}{{ x | trim }}";
  CHECK_THROWS_WITH(masked(changed, conversation({{"assistant", "a"}}), {}), Contains("generation"));
}
