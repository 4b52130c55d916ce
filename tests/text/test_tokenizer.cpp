#include "graft/text/tokenizer.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <thread>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "support/catch.h"

namespace {

using graft::DataError;
using graft::Json;
using graft::text::Tokenizer;
using Ids = std::vector<int32_t>;

/// A tokenizer.json in a temporary file, loaded.
Tokenizer from_text(const std::string& text) {
  const auto path = std::filesystem::temp_directory_path() / ("graft_tokenizer_" + std::to_string(::getpid()) + ".json");
  graft::write_file(path, text);
  try {
    Tokenizer tokenizer = Tokenizer::load(path);
    std::filesystem::remove(path);
    return tokenizer;
  } catch (...) {
    std::filesystem::remove(path);
    throw;
  }
}

/// A small BPE: letters a to e with a few merges. Members given replace the default ones.
Json small_file(const Json& changes = Json::object()) {
  Json file =
      graft::parse_json(R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,"pre_tokenizer":null,
    "post_processor":null,"decoder":{"type":"Fuse"},
    "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,
    "byte_fallback":false,"ignore_merges":false,
    "vocab":{"a":0,"b":1,"c":2,"d":3,"e":4," ":5,"ab":6,"bc":7,"abc":8,"aa":9,"aaaa":10},
    "merges":["b c","a b",["a","bc"],"a a",["aa","aa"]]}})",
                        "test");
  for (const auto& change : changes.items()) file[change.key()] = change.value();
  return file;
}

Tokenizer small(const Json& changes = Json::object()) { return from_text(small_file(changes).dump()); }

/// small_file() with one place changed: "/model/merges/0".
Json changed(const std::string& pointer, const Json& value) {
  Json file = small_file();
  file[Json::json_pointer(pointer)] = value;
  return file;
}

std::string error_of(const std::string& text) {
  try {
    from_text(text);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

Json added(const std::string& content, int id, const Json& flags = Json::object()) {
  Json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", false}};
  for (const auto& flag : flags.items()) token[flag.key()] = flag.value();
  return token;
}

std::vector<Json> read_lines(const std::filesystem::path& path) {
  std::vector<Json> lines;
  for (const std::string& line : graft::split(graft::read_file(path), '\n')) {
    if (!line.empty()) lines.push_back(Json::parse(line));
  }
  return lines;
}

std::filesystem::path test_data() {
  const char* named = std::getenv("GRAFT_TEST_DATA");
  return named != nullptr ? std::filesystem::path(named) : std::filesystem::current_path() / "../shared/data";
}

}  // namespace

TEST_CASE("BPE joins the pair of lowest rank first, the leftmost of several", "[text]") {
  const Tokenizer tokenizer = small();
  REQUIRE(tokenizer.encode("abc") == Ids{8});  // b+c before a+b
  REQUIRE(tokenizer.encode("abd") == Ids{6, 3});
  REQUIRE(tokenizer.encode("aaa") == Ids{9, 0});
  REQUIRE(tokenizer.encode("aaaaa") == Ids{10, 0});
  REQUIRE(tokenizer.encode("") == Ids{});
}

TEST_CASE("A word of any length gives what merging by the definition gives", "[text]") {
  const Tokenizer tokenizer = small();
  // Long words go through a queue, short ones are scanned: around the limit and far above it both must agree with powers of four.
  for (const size_t length : {1, 3, 4, 31, 47, 48, 49, 50, 200, 4096, 100001}) {
    Ids expected(length / 4, 10);
    if (length % 4 >= 2) expected.push_back(9);
    if (length % 2 == 1) expected.push_back(0);
    REQUIRE(tokenizer.encode(std::string(length, 'a')) == expected);
  }
}

TEST_CASE("A megabyte without a break takes no more than seconds", "[text]") {
  const Tokenizer tokenizer = small();
  const auto begin = std::clock();
  REQUIRE(tokenizer.encode(std::string(1 << 20, 'a')).size() == (1 << 20) / 4);
  // Quadratic merging would take minutes; 5 s of processor time leaves room for a sanitizer build.
  REQUIRE(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 5.0);
}

TEST_CASE("Characters outside the vocabulary vanish, become unk_token, or bytes", "[text]") {
  REQUIRE(small().encode("axc") == Ids{0, 2});
  Json file = small_file();
  file["model"]["unk_token"] = "e";
  REQUIRE(from_text(file.dump()).encode("axxb") == Ids{0, 4, 4, 1});
  file["model"]["fuse_unk"] = true;
  REQUIRE(from_text(file.dump()).encode("axxb") == Ids{0, 4, 1});
  file["model"]["byte_fallback"] = true;
  file["model"]["vocab"]["<0x78>"] = 11;
  REQUIRE(from_text(file.dump()).encode("axxyb") == Ids{0, 11, 11, 4, 1});
}

TEST_CASE("Added tokens: leftmost, longest, with their flags", "[text]") {
  const Tokenizer tokenizer = small({{"added_tokens",
                                      {added("<s>", 11, {{"special", true}}), added("<s><s>", 12), added("cd", 13, {{"single_word", true}}),
                                       added("<l>", 14, {{"lstrip", true}}), added("<r>", 15, {{"rstrip", true}})}}});
  REQUIRE(tokenizer.encode("a<s>b") == Ids{0, 11, 1});
  REQUIRE(tokenizer.encode("<s><s><s>") == Ids{12, 11});
  REQUIRE(tokenizer.encode("acd") == Ids{0, 2, 3});
  REQUIRE(tokenizer.encode("a cd") == Ids{0, 5, 13});
  REQUIRE(tokenizer.encode("a  <l> b") == Ids{0, 14, 5, 1});
  REQUIRE(tokenizer.encode("a <r>  b") == Ids{0, 5, 15, 1});
  REQUIRE(tokenizer.is_special(11));
  REQUIRE_FALSE(tokenizer.is_special(12));
  REQUIRE(tokenizer.decode({0, 11, 1}) == "a<s>b");
  REQUIRE(tokenizer.decode({0, 11, 1}, true) == "ab");
  REQUIRE(tokenizer.vocabulary_size() == 16);
  REQUIRE(tokenizer.token_to_id("<s>") == 11);
  REQUIRE(tokenizer.id_to_token(13) == "cd");
  REQUIRE_FALSE(tokenizer.id_to_token(99));
}

TEST_CASE("Offsets are bytes of the original text, through normalization", "[text]") {
  const Tokenizer tokenizer = small({{"normalizer", Json::parse(R"({"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},
    {"type":"Lowercase"},{"type":"Prepend","prepend":" "}]})")},
                                     {"added_tokens", {added("<s>", 11)}}});
  const std::string text =
      "\xC3\x81"
      "bC<s>d";  // Á b C <s> d
  const auto tokens = tokenizer.encode_with_offsets(text);
  REQUIRE(tokens.size() == 5);
  const std::vector<std::array<uint32_t, 3>> expected = {{5, 0, 2}, {8, 0, 4}, {11, 4, 7}, {5, 7, 8}, {3, 7, 8}};
  for (size_t i = 0; i < expected.size(); ++i) {
    REQUIRE(std::array<uint32_t, 3>{static_cast<uint32_t>(tokens[i].id), tokens[i].begin, tokens[i].end} == expected[i]);
  }
}

TEST_CASE("Composition and decomposition keep the places that HF gives", "[text]") {
  const auto places = [](const char* form, const std::string& text) {
    const Tokenizer tokenizer = small({{"normalizer", {{"type", form}}},
                                       {"pre_tokenizer", {{"type", "FixedLength"}, {"length", 1}}},
                                       {"model", Json::parse(R"({"type":"WordLevel","unk_token":"?","vocab":{"?":0}})")}});
    std::vector<std::array<uint32_t, 2>> result;
    for (const auto& token : tokenizer.encode_with_offsets(text)) result.push_back({token.begin, token.end});
    return result;
  };
  using Places = std::vector<std::array<uint32_t, 2>>;
  // Taken from HF tokenizers 0.23.3. A composed character has the place of the first one that went into it.
  REQUIRE(places("NFC", "a\u0301\u0302\u0303") == Places{{0, 1}, {3, 5}, {5, 7}});
  REQUIRE(places("NFD", "\u00e1b") == Places{{0, 2}, {0, 2}, {2, 3}});
  REQUIRE(places("NFKC", "\u2026\u2025x") == Places{{0, 3}, {0, 3}, {0, 3}, {3, 6}, {3, 6}, {6, 7}});
}

TEST_CASE("encode and encode_with_offsets give the same ids", "[text]") {
  const Tokenizer tokenizer =
      small({{"pre_tokenizer", {{"type", "Metaspace"}, {"replacement", " "}, {"prepend_scheme", "first"}, {"split", true}}},
             {"post_processor", Json::parse(R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"e","type_id":0}},
    {"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"e":{"id":"e","ids":[4],"tokens":["e"]}}})")}});
  for (const std::string text : {"", "a", " abc abc",
                                 "abc  d\xF0\x9F\x98\x80"
                                 "e"}) {
    Ids ids;
    for (const auto& token : tokenizer.encode_with_offsets(text)) ids.push_back(token.id);
    REQUIRE(ids == tokenizer.encode(text));
    REQUIRE(ids.at(0) == 4);
  }
}

TEST_CASE("A String pattern is a literal even when it looks like a regular expression", "[text]") {
  const auto with = [](const Json& pattern) {
    return small({{"pre_tokenizer", {{"type", "Split"}, {"pattern", pattern}, {"behavior", "Removed"}, {"invert", false}}}});
  };
  REQUIRE(with({{"String", "a|b"}}).encode("abc") == Ids{8});
  REQUIRE(with({{"Regex", "a|b"}}).encode("abc") == Ids{2});
}

TEST_CASE("Text that is not UTF-8 and ids that no token has are data errors", "[text]") {
  const Tokenizer tokenizer = small();
  REQUIRE_THROWS_AS(tokenizer.encode("a\xFF"), DataError);
  REQUIRE_THROWS_AS(tokenizer.encode("\xED\xA0\x80"), DataError);  // a surrogate
  REQUIRE_THROWS_AS(tokenizer.encode("\xC0\xAF"), DataError);      // overlong
  REQUIRE_THROWS_AS(tokenizer.decode({0, 11}), DataError);
  REQUIRE_THROWS_AS(tokenizer.decode({-1}), DataError);
}

TEST_CASE("A malformed tokenizer.json is an error that names the JSON path", "[text]") {
  const auto error = [](const std::string& pointer, const Json& value) { return error_of(changed(pointer, value).dump()); };
  REQUIRE_THAT(error("/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Metaspcae"}}}}}),
               Contains("pre_tokenizer.pretokenizers[0].type") && Contains("Metaspace"));
  REQUIRE_THAT(error("/normalizer", {{"type", "Precompiled"}}), Contains("normalizer.type"));
  REQUIRE_THAT(error("/decoder", {{"type", "Magic"}}), Contains("decoder.type"));
  REQUIRE_THAT(error("/decoder", Json::parse(R"({"type":"Sequence","decoders":[null]})")), Contains("decoder.decoders[0]"));
  REQUIRE_THAT(error("/post_processor", {{"type", 3}}), Contains("post_processor.type"));
  REQUIRE_THAT(error("/model/type", "Transformer"), Contains("model.type"));
  REQUIRE_THAT(error("/model/vocab", nullptr), Contains("model") && Contains("vocab"));
  REQUIRE_THAT(error("/model/merges", nullptr), Contains("merges"));
  REQUIRE_THAT(error("/model/merges/1", "a x"), Contains("model.merges[1]") && Contains("\"x\""));
  REQUIRE_THAT(error("/model/merges/1", "ab"), Contains("model.merges[1]"));
  REQUIRE_THAT(error("/model/merges/1", Json::array({"a", "b", "c"})), Contains("model.merges[1]"));
  REQUIRE_THAT(error("/model/merges/1", 7), Contains("model.merges[1]"));
  REQUIRE_THAT(error("/model/merges/1", "a d"), Contains("model.merges[1]") && Contains("\"ad\""));
  REQUIRE_THAT(error("/model/vocab/b", 0), Contains("model.vocab[\"b\"]") && Contains("\"a\""));
  REQUIRE_THAT(error("/model/vocab/b", -1), Contains("model.vocab[\"b\"]"));
  REQUIRE_THAT(error("/model/vocab/b", 1.5), Contains("model.vocab[\"b\"]"));
  REQUIRE_THAT(error("/model/vocab/b", "1"), Contains("model.vocab[\"b\"]"));
  REQUIRE_THAT(error("/model/vocab/b", Json::object()), Contains("model.vocab[\"b\"]"));
  REQUIRE_THAT(error("/model/vocab/b", 4000000000), Contains("model.vocab[\"b\"]") && Contains("too large"));
  REQUIRE_THAT(error("/model/dropout", 0.1), Contains("model.dropout"));
  REQUIRE_THAT(error("/model/fuse_unk", "yes"), Contains("model.fuse_unk"));
  REQUIRE_THAT(error("/model", nullptr), Contains("model"));
  REQUIRE_THAT(error("/added_tokens", Json::array({added("x", -1)})), Contains("added_tokens[0].id"));
  REQUIRE_THAT(error("/added_tokens", Json::array({added("x", 20), added("y", 20)})), Contains("added_tokens[1].id"));
  REQUIRE_THAT(error("/added_tokens", Json::array({added("x", 20), 5})), Contains("added_tokens[1]"));
  REQUIRE_THAT(error("/added_tokens", Json::array({Json::object()})), Contains("added_tokens[0]") && Contains("content"));
  REQUIRE_THAT(error("/added_tokens", Json::array({added(std::string(5000, 'a'), 20)})), Contains("added_tokens[0].content"));
  REQUIRE_THAT(error("/added_tokens", Json::object()), Contains("added_tokens") && Contains("list"));
  REQUIRE_THAT(error("/pre_tokenizer", Json::parse(R"({"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated","invert":false})")),
               Contains("pre_tokenizer.pattern.Regex"));
  REQUIRE_THAT(
      error("/post_processor", Json::parse(R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}}],"pair":[],
    "special_tokens":{}})")),
      Contains("post_processor.single[0]"));
  REQUIRE_THAT(error("/version", "2.0"), Contains("version"));
  REQUIRE_THAT(error_of("{\"model\": {\"vocab\": {\"a\": 0,\n \"b\" 1}}}"), Contains(".json:2:"));
  REQUIRE_THAT(error_of(""), Contains("JSON"));
  REQUIRE_THAT(error_of("[]"), Contains("not an object"));
  REQUIRE_THAT(error_of("{}"), Contains("model"));
  REQUIRE_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]}})"),
               Contains("model.vocab[\"a\"]") && Contains("twice"));
  REQUIRE_THAT(error_of(R"({"decoder":null,"decoder":null})"), Contains("twice"));
  REQUIRE_THAT(error_of("{\"x\":" + std::string(100000, '[')), Contains("nested deeper"));
}

TEST_CASE("Regular expressions mean what Oniguruma makes of them", "[text]") {
  const auto pieces = [](const std::string& regex, const std::string& text) {
    // Each match becomes "e": what is left shows where the pattern matched.
    const Tokenizer tokenizer = small({{"normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", regex}}}, {"content", "e"}}}});
    return tokenizer.decode(tokenizer.encode(text));
  };
  REQUIRE(pieces("c{2}+", "accccd") == "aed");       // an interval's plus repeats: (c{2})+
  REQUIRE(pieces("c{1}?d", "cdd") == "ee");          // {n}? is optional, not lazy
  REQUIRE(pieces("[a-d&&[^b]]", "abcd") == "ebee");  // intersection
  REQUIRE(pieces("[a[cd]]", "abcd") == "ebee");      // nested class
  REQUIRE(pieces("\\h", "ab d") == "ee e");          // hexadecimal digit, not a blank
  REQUIRE(pieces("(?i:B)", "abc") == "aec");
  REQUIRE(pieces("^b", "b\nb") == "ee");     // ^ at every line; the newline is not in the vocabulary
  REQUIRE(pieces("b*", "abba") == "eaeae");  // empty matches, but none right after another match
  REQUIRE(pieces("\\s",
                 "a\xE1\xA0\x8E"
                 "b\xC2\x85"
                 "c") == "abec");  // U+180E is no white space, U+0085 is
}

TEST_CASE("A regular expression that backtracks without end is a data error, not a hang", "[text]") {
  const auto with = [](const std::string& regex) {
    return small({{"pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}}}});
  };
  REQUIRE_THROWS_AS(with("(a+)+d").encode(std::string(5000, 'a') + "bd"), DataError);
  REQUIRE_THROWS_AS(with("(?:a|a)*d").encode(std::string(5000, 'a') + "bd"), DataError);
  REQUIRE_THROWS_AS(with("(?R)"), DataError);
}

TEST_CASE("One tokenizer serves many threads", "[text]") {
  const Tokenizer tokenizer = small();
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 2000; ++i) wrong[t] += tokenizer.encode(std::string(i % 97, 'a') + "abc").back() != 8;
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(wrong == std::vector<int>(4, 0));
}

TEST_CASE("Real files give HF's ids and text", "[text]") {
  const auto folder = test_data() / "tokenizers";
  if (!std::filesystem::exists(folder / "corpus.jsonl")) {
    std::cout << "left out: " << folder << " is not there, so no real tokenizer.json was compared\n";
    return;
  }
  const auto corpus = read_lines(folder / "corpus.jsonl");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!std::filesystem::exists(entry.path() / "expected.jsonl")) continue;
    const Tokenizer tokenizer = Tokenizer::load(entry.path());
    for (const char* name : {"expected.jsonl", "expected_own_special.jsonl"}) {
      const auto expected = read_lines(entry.path() / name);
      size_t wrong = 0;
      for (size_t i = 0; i < expected.size(); ++i) {
        const auto text = (expected[i].contains("text") ? expected[i] : corpus.at(i)).at("text").get<std::string>();
        const Ids plain = tokenizer.encode(text, false);
        wrong += tokenizer.encode(text) != expected[i].at("ids").get<Ids>() || plain != expected[i].at("ids_no_special").get<Ids>() ||
                 tokenizer.decode(plain) != expected[i].at("decoded").get<std::string>();
      }
      INFO(entry.path() / name);
      REQUIRE(!expected.empty());
      REQUIRE(wrong == 0);
    }
  }
}
