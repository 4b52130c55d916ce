#include "data/support.h"

#include "graft/base/json.h"

namespace data_test {
namespace {

std::string utf8(uint32_t code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

/// GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others for U+0100 and up, in order.
std::string byte_symbol(int byte) {
  const auto printable = [](int b) { return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF); };
  if (printable(byte)) return utf8(static_cast<uint32_t>(byte));
  uint32_t others = 0;
  for (int b = 0; b < byte; ++b) others += !printable(b);
  return utf8(0x100 + others);
}

std::string tokenizer_json() {
  graft::Json json;
  json["version"] = "1.0";
  json["truncation"] = nullptr;
  json["padding"] = nullptr;
  json["added_tokens"] = graft::Json::array();
  int id = 0;
  for (const char* token : {"<pad>", "<s>", "</s>"})
    json["added_tokens"].push_back({{"id", id++},
                                    {"content", token},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"normalized", false},
                                    {"special", true}});
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  const graft::Json sequence = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const graft::Json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", graft::Json::array({bos, sequence})},
                            {"pair", graft::Json::array({bos, sequence})},
                            {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {1}}, {"tokens", {"<s>"}}}}}}};
  json["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  graft::Json vocabulary = {{"<pad>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) vocabulary[byte_symbol(byte)] = byte + 3;
  vocabulary["ab"] = kAb;
  json["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"vocab", vocabulary},
                   {"merges", {"a b"}}};
  return graft::dump_json(json);
}

}  // namespace

const graft::text::Tokenizer& byte_tokenizer() {
  static const auto tokenizer = [] {
    const TemporaryDirectory directory;
    return graft::text::Tokenizer::load(directory.write("tokenizer.json", tokenizer_json()));
  }();
  return tokenizer;
}

const graft::text::ChatTemplate& chatml() {
  static const graft::text::ChatTemplate chat(
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
      {});
  return chat;
}

std::vector<int32_t> bytes(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c) + 3);
  return ids;
}

std::string token_lines(const std::vector<int64_t>& lengths) {
  std::string text;
  for (size_t i = 0; i < lengths.size(); ++i) {
    text += "{\"input_ids\":[";
    for (int64_t t = 0; t < lengths[i]; ++t) text += (t == 0 ? "" : ",") + std::to_string((static_cast<int64_t>(i) * 100 + t) % 1000000);
    text += "]}\n";
  }
  return text;
}

}  // namespace data_test
