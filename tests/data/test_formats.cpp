#include "data/support.h"
#include "graft/data/formats.h"

using namespace data_test;
using namespace graft::data;
using graft::Json;

namespace {

Example read(const std::string& format, const std::string& json, const std::map<std::string, std::string>& fields = {},
             FormatContext context = {true, 300}) {
  const Json row = graft::parse_json(json, "row");
  const Format& entry = *find_format(format);
  return entry.read(RowView(row, entry, fields), context);
}

std::string refusal(const std::string& format, const std::string& json, const std::map<std::string, std::string>& fields = {},
                    FormatContext context = {true, 300}) {
  return failure_of([&] { read(format, json, fields, context); }).block;
}

}  // namespace

TEST_CASE("messages keep their keys; content written as text parts becomes one string", "[data]") {
  const auto chat = std::get<Conversation>(
      read("messages", R"({"id":7,"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","value":"b"}]},
      {"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{}}}]}],"tools":"[{\"name\":\"f\"}]"})"));
  REQUIRE(chat.messages[0]["content"] == "ab");
  REQUIRE(chat.messages[1]["tool_calls"][0]["function"]["name"] == "f");
  REQUIRE(chat.tools[0]["name"] == "f");
  REQUIRE(std::get<Conversation>(read("messages", R"({"messages":[{"role":"user","content":"a"}],"tools":""})")).tools.is_null());
}

TEST_CASE("sharegpt's speakers become roles, its calls tool calls", "[data]") {
  const auto chat = std::get<Conversation>(read("sharegpt", R"({"system":"S","conversations":[{"from":"human","value":"q"},
      {"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{\"x\":1}}"},{"from":"observation","value":"r"},{"from":"gpt","value":"a"}]})"));
  REQUIRE(chat.messages == Json::parse(R"([{"role":"system","content":"S"},{"role":"user","content":"q"},
      {"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"x":1}}}]},
      {"role":"tool","content":"r"},{"role":"assistant","content":"a"}])"));
}

TEST_CASE("a sharegpt turn keeps the marks that say whether it is trained on", "[data]") {
  const auto chat = std::get<Conversation>(read("sharegpt", R"({"conversations":[{"from":"human","value":"q","id":1},
      {"from":"gpt","value":"a","weight":0},{"from":"function_call","value":"{\"name\":\"f\"}","train":false}]})"));
  REQUIRE(chat.messages == Json::parse(R"([{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":0},
      {"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"f"}}],"train":false}])"));
}

TEST_CASE("a call that is none and a tool that is no object are refused", "[data]") {
  for (const char* value : {"null", "[]", "5"}) {
    const std::string row = R"({"conversations":[{"from":"function_call","value":")" + std::string(value) + R"("}]})";
    REQUIRE_THAT(refusal("sharegpt", row), Contains("conversations[0].value holds no call"));
  }
  const std::string turn = R"("conversations":[{"from":"human","value":"q"}])";
  REQUIRE_THAT(refusal("sharegpt", "{" + turn + R"(,"tools":["x"]})"), Contains("tools[0] is a string, expected an object"));
  REQUIRE_THAT(refusal("sharegpt", "{" + turn + R"(,"tools":"[{},5]"})"), Contains("tools[1] is a number"));
}

TEST_CASE("alpaca is a conversation with a template and Stanford's prompt without", "[data]") {
  const std::string row = R"({"instruction":"I","input":"X","output":"O","history":[["q","a"]]})";
  const auto chat = std::get<Conversation>(read("alpaca", row));
  REQUIRE(chat.messages.size() == 4);
  REQUIRE(chat.messages[2]["content"] == "I\nX");
  const auto text = std::get<PromptCompletion>(read("alpaca", R"({"instruction":"I","input":"","output":"O"})", {}, {false, 0}));
  // Stanford Alpaca, train.py, PROMPT_DICT["prompt_no_input"]
  REQUIRE(text.prompt ==
          "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### "
          "Instruction:\nI\n\n### Response:");
  REQUIRE(text.completion == "O");
}

TEST_CASE("prompt_completion takes strings or lists of messages, and other names through fields", "[data]") {
  const auto strings = std::get<PromptCompletion>(
      read("prompt_completion", R"({"question":"q","answer":"a"})", {{"prompt", "question"}, {"completion", "answer"}}));
  REQUIRE(strings.prompt == "q");
  REQUIRE(strings.completion == "a");
  const auto chat = std::get<ConversationCompletion>(
      read("prompt_completion", R"({"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]})"));
  REQUIRE(chat.completion_begin == 1);
  REQUIRE(chat.messages.size() == 2);
}

TEST_CASE("tokens are checked against the vocabulary and against their labels", "[data]") {
  const auto row = std::get<TokenRow>(read("tokens", R"({"input_ids":[5,6,7],"labels":[-100,6,7]})"));
  REQUIRE(row.labels == std::vector<int32_t>{-100, 6, 7});
  REQUIRE(std::get<TokenRow>(read("tokens", R"({"input_ids":[5,6]})")).labels == std::vector<int32_t>{5, 6});
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":[5,300]})"), Contains("input_ids[1] is 300, outside the vocabulary of 300"));
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":[-100]})"), Contains("input_ids[0] is -100"));
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":[18446744073709551615]})"), Contains("outside the vocabulary"));
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":[1,2],"labels":[1]})"), Contains("has 1 entries and \"input_ids\" has 2"));
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":[1,2],"labels":[1,-1]})"), Contains("labels[1] is -1"));
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":[1.5]})"), Contains("is a fraction"));
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":[]})"), Contains("empty list"));
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":["1"]})"), Contains("is a string"));
}

TEST_CASE("a mask over tokens must agree with what is trained on", "[data]") {
  REQUIRE(std::get<TokenRow>(read("tokens", R"({"input_ids":[5,6],"attention_mask":[1,true]})")).ids == std::vector<int32_t>{5, 6});
  const auto padded = std::get<TokenRow>(read("tokens", R"({"input_ids":[5,0],"labels":[5,-100],"attention_mask":[1,0]})"));
  REQUIRE(padded.labels == std::vector<int32_t>{5, -100});
  const auto refused = refusal("tokens", R"({"input_ids":[5,0],"attention_mask":[1,0]})");
  REQUIRE_THAT(refused, Contains("attention_mask[1] is 0") && Contains("labels with -100"));
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":[5,0],"attention_mask":[1]})"), Contains("not a list of 2 entries"));
  REQUIRE_THAT(refusal("tokens", R"({"input_ids":[5],"attention_mask":[2]})"), Contains("attention_mask[0] is 2, expected 0 or 1"));
}

TEST_CASE("a missing field is answered with the keys found and the line to write", "[data]") {
  const auto gsm8k = refusal("messages", R"({"question":"q","answer":"a"})");
  REQUIRE_THAT(gsm8k, Contains("found keys: question and answer"));
  REQUIRE_THAT(gsm8k, Contains("fields: [prompt=question, completion=answer]"));
  REQUIRE_THAT(refusal("messages", R"({"instruction":"q","output":"a"})"), Contains("set format: alpaca"));
  REQUIRE_THAT(refusal("alpaca", R"({"conversations":[]})"), Contains("set format: sharegpt"));
  REQUIRE_THAT(refusal("text", R"({"txt":"a"})"), Contains("did you mean: txt"));
  REQUIRE_THAT(refusal("text", R"({"text":null})"), Contains("the value is null"));
  REQUIRE_THAT(refusal("text", "[1]"), Contains("the row is an array, expected an object with text"));
}

TEST_CASE("a field of the wrong type is named with its place in the row", "[data]") {
  REQUIRE_THAT(refusal("text", R"({"text":5})"), Contains("\"text\" is a number, expected a string"));
  REQUIRE_THAT(refusal("messages", R"({"messages":[{"role":"user","content":"a"},{"content":"b"}]})"),
               Contains("messages[1] has no \"role\""));
  REQUIRE_THAT(refusal("messages", R"({"messages":[{"role":"user"}]})"), Contains("messages[0] has no \"content\""));
  REQUIRE_THAT(refusal("messages", R"({"messages":[{"role":"user","content":5}]})"), Contains("messages[0].content is a number"));
  REQUIRE_THAT(refusal("messages", R"({"messages":[{"from":"human","value":"a"}]})"), Contains("format: sharegpt"));
  REQUIRE_THAT(refusal("messages", R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})"), Contains("only text"));
  REQUIRE_THAT(refusal("messages", R"({"messages":[]})"), Contains("empty list"));
  REQUIRE_THAT(refusal("sharegpt", R"({"conversations":[{"from":"humn","value":"a"}]})"), Contains("did you mean: human"));
  REQUIRE_THAT(refusal("sharegpt", R"({"conversations":[{"role":"user","content":"a"}]})"), Contains("format: messages"));
  REQUIRE_THAT(refusal("sharegpt", R"({"conversations":[{"from":"function_call","value":"f x"}]})"), Contains("conversations[0].value"));
  REQUIRE_THAT(refusal("prompt_completion", R"({"prompt":"a","completion":[]})"), Contains("two strings or two lists"));
  REQUIRE_THAT(refusal("alpaca", R"({"instruction":"a","output":"b","history":[["q"]]})"), Contains("history[0]"));
}
