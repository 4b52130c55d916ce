#include <chrono>
#include <string>

#include "graft/base/error.h"
#include "graft/text/chat_template.h"
#include "support/catch.h"

// Templates come with models from anywhere: none may crash, hang or eat the memory.
namespace {

using graft::DataError;
using graft::Json;
using graft::text::ChatTemplate;

std::string repeated(const std::string& part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

void check_refused(const std::string& source) {
  INFO(source.substr(0, 200));
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(ChatTemplate(source, {}).render(Json::array()), DataError);
  // The budget is 20 million steps, about 2 s here; ten times that on a busy machine or under a sanitizer.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}

}  // namespace

TEST_CASE("loops without end stop at the step budget", "[chat][jinja]") {
  check_refused("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}");
  check_refused(
      "{% set ns = namespace(x='a') %}{% for a in range(100000) %}{% set ns.x = ns.x ~ ns.x|length %}{% set ns.y = ns.x.replace('1', '2') "
      "%}{% endfor %}");
  check_refused("{% set ns = namespace(l=[1]) %}{% for a in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}");
  check_refused("{% set x = ('a' * 1000000) %}{% for a in range(100000) %}{{ x.rfind('ab' * 1000) }}{% endfor %}");
}

TEST_CASE("recursion stops before the stack does", "[chat][jinja]") {
  check_refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  check_refused(
      "{% macro m() %}{% if true %}{% for x in [1] %}{% with %}{{ [m()] | join }}{% endwith %}{% endfor %}{% endif %}{% endmacro %}{{ m() "
      "}}");
  check_refused("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}");
  check_refused("{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}{% endcall %}{% endmacro %}{{ n() }}");
  check_refused("{% set ns = namespace(x=[]) %}{% for a in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}");
  check_refused("{% set ns = namespace(x=joiner()) %}{% for a in range(100000) %}{% set ns.x = joiner(ns.x) %}{% endfor %}");
  check_refused("{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}");
  check_refused("{% set ns = namespace() %}{% set ns.ns = [ns] %}{{ ns.ns }}");
}

TEST_CASE("templates nested too deep are refused when they are read", "[chat][jinja]") {
  check_refused("{{ " + repeated("(", 100000) + "1" + repeated(")", 100000) + " }}");
  check_refused("{{ " + repeated("[", 100000));
  check_refused("{{ " + repeated("not ", 100000) + "1 }}");
  check_refused("{{ " + repeated("- ", 100000) + "1 }}");
  check_refused("{{ 1" + repeated(" + 1", 100000) + " }}");
  check_refused("{{ x" + repeated(".y", 100000) + " }}");
  check_refused("{{ x" + repeated("|list", 100000) + " }}");
  check_refused("{{ 1" + repeated(" if 1 else 1", 100000) + " }}");
  check_refused(repeated("{% if true %}", 100000));
  check_refused(repeated("{% for x in y %}", 100000));
}

TEST_CASE("numbers from the template do not become memory", "[chat][jinja]") {
  check_refused("{{ 'a' * 1000000000000 }}");
  check_refused("{{ 'ab' * (2 ** 62) }}");
  check_refused("{{ [1] * 1000000000 }}");
  check_refused("{{ range(1000000000) }}");
  check_refused("{{ range(2 ** 100) }}");
  check_refused("{{ 'a'.center(10 ** 12) }}");
  check_refused("{{ '%1000000000d' % 1 }}");
  check_refused("{{ '%.1000000000f' % 1.5 }}");
  check_refused("{{ '{:1000000000}'.format(1) }}");
  check_refused("{{ 2 ** 1000000000 }}");
  check_refused("{{ 99999999999999999999999999999999999999999999999999 }}");
  check_refused("{{ 'a' | indent(10 ** 15) }}");
  check_refused("{{ 1.0 | round(0) ** 5000 ~ (10.0 ** 400) | int }}");
  check_refused("{% set ns = namespace(x='a') %}{% for a in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}");
  check_refused(
      "{% set x = 'a' * 30000000 %}{% set ns = namespace(l=[]) %}{% for a in range(100) %}{% set ns.l = ns.l + [x ~ a] %}{% endfor %}");
}

TEST_CASE("the largest integers do not wrap around", "[chat][jinja]") {
  const auto text = [](const std::string& source) { return ChatTemplate(source, {}).render(Json::array()).text; };
  CHECK(text("{{ 2 ** 126 }}") == "85070591730234615865843651857942052864");
  CHECK(text("{{ range(5)[:: 2 ** 100] | list }}") == "[0]");
  CHECK(text("{{ 'abc'[-(2 ** 100):2 ** 100] }}") == "abc");
  CHECK(text("{{ (2 ** 100) in range(5) }}") == "False");
  CHECK(text("{{ 'a'.center(-(2 ** 126) - 2 ** 126) }}") == "a");
  CHECK(text("{{ 'a b'.split(none, -(2 ** 126) - 2 ** 126) }}") == "['a', 'b']");
  CHECK(text("{{ 'abc' | truncate(2 ** 126, leeway=2 ** 126) }}") == "abc");
  check_refused("{{ 2 ** 127 }}");
  check_refused("{{ -(2 ** 126) * 2 - 1 }}");
  check_refused("{{ (-(2 ** 126) - 2 ** 126) // -1 }}");
}

TEST_CASE("bytes of any kind in a template end in text or a DataError", "[chat][jinja]") {
  // Every prefix of a template that uses most of the grammar, and the template with each byte replaced.
  const std::string source =
      "{% macro m(a, b=1) %}{{ a|default(b, true)|tojson(indent=2) }}{% endmacro %}{%- for k, v in {'a': [1, 2.5e1], 'b': ('x', "
      "none)}.items() if k is string "
      "recursive -%}\n {{ loop.index ~ m(v[0:1], *[1]) if not loop.first else 'é\\n'|upper }}{% else %}{# c #}{% endfor %}{% set ns = "
      "namespace(x=1) %}{% set ns.x = -ns.x ** 2 // 3 "
      "%}{% raw %}{{ }}{% endraw %}{% call m(1) %}{% endcall %}{% filter trim %} x {% endfilter %}{% generation %}y{% endgeneration %}";
  size_t rendered = 0, refused = 0;
  const auto attempt = [&](const std::string& text) {
    try {
      ChatTemplate(text, {}).render(Json::array());
      ++rendered;
    } catch (const DataError&) {
      ++refused;
    }
  };
  for (size_t i = 0; i <= source.size(); ++i) attempt(source.substr(0, i));
  for (const char byte : std::string("%}{-|('[\\\"\xff\0a0 \n", 17)) {
    for (size_t i = 0; i < source.size(); ++i) {
      std::string changed = source;
      changed[i] = byte;
      attempt(changed);
    }
  }
  CHECK(rendered > 0);
  CHECK(refused > 0);
}

TEST_CASE("deep input is refused, long conversations are not", "[chat][jinja]") {
  Json deep = "x";
  for (int i = 0; i < 300; ++i) {  // the JSON reader stops at 128
    Json outer = Json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  CHECK_THROWS_AS(ChatTemplate("{{ messages }}", {}).render(Json::array({{{"role", "user"}, {"content", std::move(deep)}}})), DataError);
  Json messages = Json::array();
  for (int i = 0; i < 5000; ++i)
    messages.push_back({{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", "word " + std::to_string(i)}});
  const auto text = ChatTemplate(graft::text::chatml_template(), {}).render(messages).text;
  CHECK(text.size() > 5000 * 30);
}
