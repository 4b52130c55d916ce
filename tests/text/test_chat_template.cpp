#include <filesystem>
#include <string>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/text/chat_template.h"
#include "support/catch.h"

namespace {

namespace fs = std::filesystem;
using graft::DataError;
using graft::Json;
using graft::text::ChatTemplate;
using graft::text::RenderOptions;

/// A model directory that goes when the test ends.
class Directory {
 public:
  Directory() : path_(fs::temp_directory_path() / ("graft-chat-" + std::to_string(reinterpret_cast<uintptr_t>(this)))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Directory() { fs::remove_all(path_); }
  Directory& with(const std::string& name, const std::string& text) {
    fs::create_directories((path_ / name).parent_path());
    graft::write_file(path_ / name, text);
    return *this;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

const Json kHello = Json::array({{{"role", "user"}, {"content", "Hi"}}});

std::string render(const ChatTemplate& chat_template, const RenderOptions& options = {}) {
  return chat_template.render(kHello, options).text;
}

}  // namespace

TEST_CASE("a model's template: the file wins over the config, the default over the others", "[chat]") {
  Directory model;
  model.with("tokenizer_config.json", R"({"chat_template": "config"})");
  CHECK(render(ChatTemplate::load(model.path())) == "config");
  model.with(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})");
  CHECK(render(ChatTemplate::load(model.path())) == "d");
  RenderOptions with_tools;
  with_tools.tools = Json::array();
  CHECK(render(ChatTemplate::load(model.path()), with_tools) == "t");
  model.with("chat_template.jinja", "file");
  CHECK(render(ChatTemplate::load(model.path())) == "file");
  model.with("additional_chat_templates/tool_use.jinja", "file for tools");
  CHECK(render(ChatTemplate::load(model.path()), with_tools) == "file for tools");
}

TEST_CASE("a model without a template is refused with what to do", "[chat]") {
  Directory model;
  CHECK_THROWS_WITH(ChatTemplate::load(model.path()), Contains("no chat template") && Contains("data.template"));
  model.with("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "r"}]})");
  CHECK_THROWS_WITH(ChatTemplate::load(model.path()), Contains("rag"));
  for (const char* config : {R"({"chat_template": 5})", R"({"chat_template": [5]})", R"({"chat_template": [{"name": 5, "template": "x"}]})",
                             R"([])", R"({"bos_token": 5, "chat_template": "x"})"}) {
    model.with("tokenizer_config.json", config);
    CHECK_THROWS_AS(ChatTemplate::load(model.path()), DataError);
  }
  CHECK_THROWS_AS(ChatTemplate::load_file(model.path() / "none.jinja", {}), DataError);
}

TEST_CASE("special tokens are strings or objects with content; null means none", "[chat]") {
  using Tokens = std::map<std::string, std::string>;
  Directory model;
  CHECK(graft::text::special_tokens_of(model.path()).empty());
  model.with("special_tokens_map.json",
             R"({"eos_token": "map", "pad_token": null, "unk_token": {"content": "<u>"}, "additional_special_tokens": ["x"]})");
  CHECK(graft::text::special_tokens_of(model.path()) == Tokens{{"eos_token", "map"}, {"unk_token", "<u>"}});
  model.with("tokenizer_config.json", R"({"bos_token": {"content": "<b>"}, "eos_token": "config", "pad_token": "<p>"})");
  CHECK(graft::text::special_tokens_of(model.path()) == Tokens{{"bos_token", "<b>"}, {"eos_token", "map"}, {"unk_token", "<u>"}});
  model.with("tokenizer_config.json",
             R"({"added_tokens_decoder": {}, "eos_token": "config", "unk_token": null, "tokenizer_class": "LlamaTokenizerFast"})");
  CHECK(graft::text::special_tokens_of(model.path()) == Tokens{{"bos_token", "<s>"}, {"eos_token", "config"}});
}

TEST_CASE("tokens that only this model names are variables, too", "[chat]") {
  Directory model;
  const auto tokens = [&](const std::string& config) {
    model.with("tokenizer_config.json", config);
    return render(ChatTemplate("{{ bos_token }}|{{ image_token }}|{{ think_token }}", graft::text::special_tokens_of(model.path())));
  };
  CHECK(
      tokens(
          R"({"bos_token": "<s>", "image_token": "<i>", "extra_special_tokens": {"think_token": {"__type": "AddedToken", "content": "<t>"}}})") ==
      "<s>|<i>|<t>");
  CHECK(tokens(R"({"image_token": {"__type": "AddedToken", "content": "<i>"}, "model_specific_special_tokens": {"think_token": "<t>"}})") ==
        "|<i>|<t>");
  // What transformers does with both: the config's model_specific_special_tokens give way.
  CHECK(tokens(R"({"image_token": "<i>", "model_specific_special_tokens": {"think_token": "<t>"}})") == "|<i>|");
  CHECK(tokens(R"({"add_bos_token": true, "image_token": null, "extra_special_tokens": ["<t>"]})") == "||");
  CHECK_THROWS_AS(tokens(R"({"extra_special_tokens": {"think_token": 5}})"), DataError);
  model.with("special_tokens_map.json", R"({"image_token": "map"})");
  CHECK(tokens(R"({"extra_special_tokens": {"think_token": "<t>"}})") == "|map|<t>");
  CHECK(tokens(R"({"added_tokens_decoder": {}})") == "||");
}

TEST_CASE("a model has a template when one of the places that load looks at holds one", "[chat]") {
  Directory model;
  CHECK_FALSE(graft::text::has_chat_template(model.path()));
  model.with("tokenizer_config.json", R"({"chat_template": null})");
  CHECK_FALSE(graft::text::has_chat_template(model.path()));
  model.with("chat_template.json", R"({"chat_template": "processor"})");
  CHECK(graft::text::has_chat_template(model.path()));
  CHECK(render(ChatTemplate::load(model.path())) == "processor");
}

TEST_CASE("an adapter's template has the model's tokens and, when it is the model's, its template for tools", "[chat]") {
  Directory model, adapter;
  model.with("tokenizer_config.json",
             R"({"bos_token": "<s>", "chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})");
  RenderOptions with_tools;
  with_tools.tools = Json::array();
  adapter.with("chat_template.jinja", "own {{ bos_token }}");
  CHECK(render(ChatTemplate::load_for(model.path(), adapter.path() / "chat_template.jinja"), with_tools) == "own <s>");
  adapter.with("chat_template.jinja", "d");
  CHECK(render(ChatTemplate::load_for(model.path(), adapter.path() / "chat_template.jinja"), with_tools) == "t");
}

TEST_CASE("messages must be an array of objects with a string role", "[chat]") {
  const ChatTemplate chat_template("x", {});
  for (const char* text :
       {"{}", "5", "null", "[5]", "[[]]", "[{}]", R"([{"role": 5}])", R"([{"role": null}])", R"([{"role": "user"}, "x"])"}) {
    INFO(text);
    CHECK_THROWS_AS(chat_template.render(Json::parse(text)), DataError);
  }
  CHECK_THROWS_WITH(chat_template.render(Json::parse(R"([{"role": "user"}, {"role": 5}])")), Contains("messages[1].role"));
}

TEST_CASE("null keys of a message are gone and reasoning has its three names, as in transformers", "[chat]") {
  const ChatTemplate chat_template(
      "{% for m in messages %}{{ m.content is defined }}{{ m.reasoning_content }}{{ m.thinking }};{% endfor %}", {});
  const auto messages =
      Json::parse(R"([{"role": "a", "content": null, "reasoning": "r"}, {"role": "a", "thinking": "t", "reasoning": "r"}])");
  CHECK(chat_template.render(messages).text == "Falserr;Falsett;");
}

TEST_CASE("the date is the one asked for, whatever the day", "[chat]") {
  RenderOptions options;
  options.date = "2024-02-29";
  CHECK(render(ChatTemplate("{{ strftime_now('%d %b %Y %A %j %H:%M %f%z%%') }}", {}), options) == "29 Feb 2024 Thursday 060 00:00 000000%");
  for (const char* date : {"2023-02-29", "2024-2-9", "today", "", "2024-01-01x"}) {
    options.date = date;
    CHECK_THROWS_AS(render(ChatTemplate("x", {}), options), DataError);
  }
}

TEST_CASE("further variables win over special tokens and never over the conversation", "[chat]") {
  RenderOptions options;
  options.extra = {{"bos_token", "<B>"}, {"enable_thinking", false}};
  CHECK(render(ChatTemplate("{{ bos_token }}{{ enable_thinking }}", {{"bos_token", "<s>"}}), options) == "<B>False");
  options.extra = {{"messages", 1}};
  CHECK_THROWS_WITH(render(ChatTemplate("x", {}), options), Contains("'messages'"));
}

TEST_CASE("raise_exception is a DataError with the template's words", "[chat]") {
  CHECK_THROWS_WITH(render(ChatTemplate("{{ raise_exception('roles must alternate') }}", {})),
                    Contains("roles must alternate") && Contains("refuses"));
}

TEST_CASE("generation spans survive macros, set blocks and concatenation, and their loss is told", "[chat]") {
  const auto spans = [](const std::string& source) {
    const auto rendered = ChatTemplate(source, {}).render(kHello);
    std::string found = rendered.generation_lost ? "lost" : "";
    for (const auto& span : rendered.generation) found += "[" + rendered.text.substr(span.begin, span.end - span.begin) + "]";
    return found;
  };
  CHECK(spans("a{% generation %}bé{% endgeneration %}c") == "[bé]");
  CHECK(spans("é{% macro m() %}({% generation %}b{% endgeneration %}){% endmacro %}{{ m() }}") == "[b]");
  CHECK(spans("{% set x %}({% generation %}b{% endgeneration %}){% endset %}a{{ 'q' ~ x + 'z' }}") == "[b]");
  CHECK(spans("{% generation %}a{% generation %}b{% endgeneration %}c{% endgeneration %}") == "[abc]");
  CHECK(spans("{% set x %}{% generation %}b{% endgeneration %}{% endset %}{{ x | upper }}") == "lost");
  CHECK(spans("{% set x %}{% generation %}b{% endgeneration %}{% endset %}c") == "lost");
  CHECK(spans("{% generation %}{% endgeneration %}") == "");
}
