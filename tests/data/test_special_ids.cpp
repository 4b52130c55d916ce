#include "graft/data/special_ids.h"

#include "data/support.h"

using namespace data_test;
using graft::data::find_eos_id;
using graft::data::find_pad_id;

TEST_CASE("the end-of-sequence is the token that templates call eos_token", "[data]") {
  const TemporaryDirectory model;
  const auto eos = [&](const std::string& config) {
    model.write("tokenizer_config.json", config);
    return find_eos_id(model.path(), byte_tokenizer());
  };
  REQUIRE(eos(R"({"eos_token":"</s>"})") == kEos);
  model.write("special_tokens_map.json", R"({"eos_token":{"content":"<s>"}})");
  REQUIRE(eos(R"({"eos_token":"</s>"})") == kBos);                            // an old config's map has the last word,
  REQUIRE(eos(R"({"eos_token":"</s>","added_tokens_decoder":{}})") == kEos);  // beside a new one it has none
  REQUIRE_THROWS_AS(eos(R"({"eos_token":"<nope>","added_tokens_decoder":{}})"), graft::DataError);
}

TEST_CASE("without a named token the class's default counts if the vocabulary has it, then the ids of the configs", "[data]") {
  const TemporaryDirectory model;
  REQUIRE(find_eos_id(model.path(), byte_tokenizer()) == -1);
  model.write("config.json", R"({"eos_token_id":[7,8]})");
  REQUIRE(find_eos_id(model.path(), byte_tokenizer()) == 7);
  model.write("tokenizer_config.json", R"({"tokenizer_class":"GPT2Tokenizer"})");
  REQUIRE(find_eos_id(model.path(), byte_tokenizer()) == 7);
  model.write("tokenizer_config.json", R"({"tokenizer_class":"LlamaTokenizer"})");
  REQUIRE(find_eos_id(model.path(), byte_tokenizer()) == kEos);
  model.write("tokenizer_config.json", R"({"tokenizer_class":"LlamaTokenizer","eos_token":null})");
  REQUIRE(find_eos_id(model.path(), byte_tokenizer()) == 7);
}

TEST_CASE("rows are padded with pad_token, or 0", "[data]") {
  const TemporaryDirectory model;
  REQUIRE(find_pad_id(model.path(), byte_tokenizer()) == 0);
  model.write("special_tokens_map.json", R"({"pad_token":"</s>"})");
  REQUIRE(find_pad_id(model.path(), byte_tokenizer()) == kEos);
}
