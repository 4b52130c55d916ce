#include <string>

#include "graft/base/error.h"
#include "graft/text/chat_template.h"
#include "support/catch.h"

namespace {

using graft::DataError;
using graft::Json;
using graft::text::ChatTemplate;

std::string render(const std::string& source) {
  graft::text::RenderOptions options;
  options.extra = {{"items", {3, 1, 2}}, {"yes", true}};
  return ChatTemplate(source, {}).render(Json::array(), options).text;
}

}  // namespace

TEST_CASE("white space: trim_blocks, lstrip_blocks, the signs and the trailing newline", "[chat][jinja]") {
  CHECK(render("a\n  {% if true %}\n  b\n  {% endif %}\nc") == "a\n  b\nc");
  CHECK(render("a\n  {%- if true -%}\n  b\n  {%- endif -%}\nc") == "abc");
  CHECK(render("a\n  {%+ if true +%}\n  b{% endif %}") == "a\n  \n  b");
  CHECK(render("x {% if true %} y {% endif %} z") == "x  y  z");
  CHECK(render("  {# note #}\nb\n") == "b");
  CHECK(render("a\r\nb\r\n\r\n") == "a\nb\n");
  CHECK(render("a {%- raw -%} {{ x }} {%- endraw -%} b") == "a{{ x }}b");
}

TEST_CASE("a loop's variables are its own, a namespace's are not", "[chat][jinja]") {
  CHECK(render("{% set x = 0 %}{% for i in items %}{{ x }}{% set x = i %}{{ x }};{% endfor %}{{ x }}") == "03;01;02;0");
  CHECK(render("{% set ns = namespace(n=0) %}{% for i in items %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}") == "6");
  CHECK(render("{% for i in items %}{% if loop.first %}{% set y = 1 %}{% endif %}{{ y is defined }} {% endfor %}") == "True False False ");
}

TEST_CASE("loop controls, the loop variable, else and recursion", "[chat][jinja]") {
  CHECK(render("{% for i in items %}{% if i == 1 %}{% continue %}{% endif %}{{ loop.index }}{{ i }}{% endfor %}") == "1332");
  CHECK(render("{% for i in items %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}") == "3");
  CHECK(render("{% for i in items if i > 1 %}{{ i }}{{ loop.last }};{% else %}none{% endfor %}") == "3False;2True;");
  CHECK(render("{% for i in [] %}{% else %}none{% endfor %}") == "none");
  CHECK(render("{% for i in [[1, [2]], 3] recursive %}{% if i is iterable %}[{{ loop(i) }}]{% else %}{{ i }}{% endif %}{% endfor %}") ==
        "[1[2]]3");
  CHECK_THROWS_AS(render("{% break %}"), DataError);
}

TEST_CASE("macros see later assignments, take defaults and call blocks", "[chat][jinja]") {
  CHECK(render("{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{% set x = 2 %}{{ m() }}") == "12");
  CHECK(render("{% macro m(a, b=a) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(b=2, a=3) }}") == "[11][32]");
  CHECK(render("{% macro m() %}<{{ caller(1) }}>{% endmacro %}{% call(x) m() %}{{ x }}{{ items[0] }}{% endcall %}") == "<13>");
  CHECK(render("{% macro m(n) %}{{ n }}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}") == "3210");
  CHECK_THROWS_AS(render("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}"), DataError);
}

TEST_CASE("set blocks, filter blocks and with", "[chat][jinja]") {
  CHECK(render("{% set x | upper %}a{{ 1 }}b{% endset %}{{ x }}") == "A1B");
  CHECK(render("{% filter upper | replace('A', 'x') %}ab{% endfilter %}") == "xB");
  CHECK(render("{% with a = 1 %}{{ a }}{% endwith %}{{ a is defined }}") == "1False");
}

TEST_CASE("what needs another file is refused when it is reached, not before", "[chat][jinja]") {
  CHECK_THROWS_AS(render("{% include 'x' %}"), DataError);
  CHECK(render("{% if not yes %}{% import 'x' as y %}{% endif %}ok") == "ok");
}

TEST_CASE("malformed templates are refused when they are read", "[chat][jinja]") {
  for (const char* source : {"{{",
                             "{{ 1",
                             "{% if %}",
                             "{% if x %}",
                             "{# x",
                             "{% raw %}",
                             "{{ (1 }}",
                             "{{ 'a }}",
                             "{% nope %}",
                             "{{ a b }}",
                             "{{ 1 + }}",
                             "{% set 1 = 2 %}",
                             "{% for x %}{% endfor %}",
                             "{{ f(a=1, 2) }}",
                             "{{ $ }}",
                             "{% macro %}",
                             "{{ x is }}",
                             "{{ x | }}",
                             "\xff",
                             "{{ '\\ud800' }}",
                             "{% autoescape true %}"}) {
    INFO(source);
    CHECK_THROWS_AS(render(source), DataError);
  }
}
