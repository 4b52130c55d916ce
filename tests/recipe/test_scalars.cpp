#include "graft/recipe/scalars.h"

#include <cstdlib>
#include <cstring>

#include "graft/base/random.h"
#include "graft/recipe/problems.h"
#include "recipe/recipe_support.h"

using namespace graft::recipe;

namespace {

template <typename Parse>
std::string fault(Parse parse_scalar, const std::string& text) {
  try {
    parse_scalar(text);
  } catch (const ValueError& error) {
    return error.message + " | " + error.nearest + " | " + error.hint;
  }
  return "";
}

}  // namespace

TEST_CASE("3e-4 is a number in every spelling of YAML 1.2's core schema", "[recipe]") {
  REQUIRE(parse_number("3e-4") == 3e-4);
  REQUIRE(parse_number("3E-4") == 3e-4);
  REQUIRE(parse_number("+.5") == 0.5);
  REQUIRE(parse_number("5.") == 5.0);
  REQUIRE(parse_number("-0.0") == 0.0);
  for (const char* text : {"", ".", "e5", "1e", "0x10", "1_000", "1,5", "abc", ".nan", ".inf", "1e999", "--1", "1 2", "١"}) {
    INFO(text);
    REQUIRE_FALSE(fault(parse_number, text).empty());
  }
}

TEST_CASE("octal, hexadecimal and separated numbers are refused with what to write", "[recipe]") {
  REQUIRE_THAT(fault(parse_integer, "017"), Contains("octal") && Contains("write 17"));
  REQUIRE_THAT(fault(parse_integer, "0o17"), Contains("decimal"));
  REQUIRE_THAT(fault(parse_integer, "1_000"), Contains("write 1000"));
  REQUIRE_THAT(fault(parse_integer, "1,000"), Contains("write 1000"));
  REQUIRE_THAT(fault(parse_integer, "1e3"), Contains("not an integer") && Contains("write 1000"));
  REQUIRE_THAT(fault(parse_integer, "16.0"), Contains("write 16"));
  REQUIRE_THAT(fault(parse_integer, "99999999999999999999"), Contains("too large"));
  REQUIRE(parse_integer("-9223372036854775808") == INT64_MIN);
  REQUIRE(parse_integer("0") == 0);
}

TEST_CASE("yes, no, on and off are text, and a boolean key says so", "[recipe]") {
  REQUIRE(parse_bool("true"));
  REQUIRE_FALSE(parse_bool("False"));
  REQUIRE_THAT(fault(parse_bool, "yes"), Contains("| true |"));
  REQUIRE_THAT(fault(parse_bool, "off"), Contains("| false |"));
  REQUIRE_THAT(fault(parse_bool, "1"), Contains("| true |"));
  REQUIRE_THAT(fault(parse_bool, "tru"), Contains("| true |"));
  REQUIRE(parse(kSmallest + "name: no\n").name == "no");
}

TEST_CASE("counts and sizes have units", "[recipe]") {
  REQUIRE(parse_count("50M") == 50'000'000);
  REQUIRE(parse_count("4k") == 4000);
  REQUIRE(parse_count("4Ki") == 4096);
  REQUIRE(parse_count("1.5B") == 1'500'000'000);
  REQUIRE(parse_count("17") == 17);
  REQUIRE(parse_bytes("22GiB") == int64_t{22} << 30);
  REQUIRE(parse_bytes("512 MiB") == int64_t{512} << 20);
  REQUIRE(parse_bytes("24GB") == 24'000'000'000);
  REQUIRE(parse_bytes("1024") == 1024);
  REQUIRE_THAT(fault(parse_count, "1.0005k"), Contains("whole"));
  REQUIRE_THAT(fault(parse_count, "9e9T"), Contains("not an integer"));
  REQUIRE_THAT(fault(parse_count, "99999999999T"), Contains("too large"));
  REQUIRE_THAT(fault(parse_bytes, "22GIB"), Contains("22GiB"));
  REQUIRE_THAT(fault(parse_bytes, "99999999999TiB"), Contains("too large"));
}

TEST_CASE("frequencies are steps, percentages or epochs", "[recipe]") {
  REQUIRE(parse_frequency("200") == Frequency{200, Frequency::Unit::kSteps});
  REQUIRE(parse_frequency("200 steps") == Frequency{200, Frequency::Unit::kSteps});
  REQUIRE(parse_frequency("1 step") == Frequency{1, Frequency::Unit::kSteps});
  REQUIRE(parse_frequency("3%") == Frequency{3, Frequency::Unit::kPercent});
  REQUIRE(parse_frequency("0.5%") == Frequency{0.5, Frequency::Unit::kPercent});
  REQUIRE(parse_frequency("1 epoch") == Frequency{1, Frequency::Unit::kEpochs});
  REQUIRE(parse_frequency("0.5 epochs") == Frequency{0.5, Frequency::Unit::kEpochs});
  REQUIRE_THAT(fault(parse_frequency, "0.03"), Contains("write 3.0%"));
  REQUIRE_THAT(fault(parse_frequency, "101%"), Contains("100%"));
  REQUIRE_THAT(fault(parse_frequency, "-5"), Contains("negative"));
  REQUIRE_THAT(fault(parse_frequency, "5 stpes"), Contains("| steps |"));
  for (const char* text : {"", "%", "epoch", "steps 5", "5 5 steps", "1e3 steps"}) REQUIRE_FALSE(fault(parse_frequency, text).empty());
}

TEST_CASE("a frequency in steps rounds up and ignores the last bit of binary fractions", "[recipe]") {
  REQUIRE(Frequency{3, Frequency::Unit::kPercent}.steps(100, 10) == 3);  // 100 * 3 / 100 must not become 4
  REQUIRE(Frequency{3, Frequency::Unit::kPercent}.steps(101, 10) == 4);
  REQUIRE(Frequency{0.1, Frequency::Unit::kPercent}.steps(3000, 10) == 3);
  REQUIRE(Frequency{0.5, Frequency::Unit::kEpochs}.steps(100, 11) == 6);
  REQUIRE(Frequency{0, Frequency::Unit::kPercent}.steps(100, 10, 1) == 1);
  REQUIRE(Frequency{7, Frequency::Unit::kSteps}.steps(3, 1) == 7);
}

TEST_CASE("shares are percentages of something or plain numbers", "[recipe]") {
  REQUIRE(parse_share("10%").of(2e-4) == Approx(2e-5));
  REQUIRE(parse_share("1e-6").of(2e-4) == 1e-6);
  REQUIRE_FALSE(fault(parse_share, "10 percent").empty());
}

TEST_CASE("every finite double is written so that it reads back to the same bits", "[recipe]") {
  graft::RandomStream random(1, "test");
  int compared = 0;
  for (int i = 0; i < 5000; ++i) {
    const uint64_t bits = random.next_u64();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (value - value != 0) continue;  // infinity or NaN
    const double again = parse_number(format_number(value));
    REQUIRE(std::memcmp(&again, &value, sizeof value) == 0);
    ++compared;
  }
  REQUIRE(compared > 4000);
}

TEST_CASE("variables are filled in wherever a path stands, and ~ is not", "[recipe]") {
  ::setenv("GRAFT_TEST_FOLDER", "somewhere", 1);
  const auto recipe = parse(kSmallest, {"data.template=file:${env:GRAFT_TEST_FOLDER}/t.jinja", "model.path=${env:GRAFT_TEST_FOLDER}/m"});
  REQUIRE(recipe.data.template_source == "file:somewhere/t.jinja");
  REQUIRE(recipe.model.path == "somewhere/m");
  REQUIRE_THAT(error_of(replaced(kSmallest, "runs/a", "~/runs/a")), Contains("${env:HOME}/runs/a"));
  REQUIRE_THAT(error_of(kSmallest + "adapter: {layers: []}\n"), Contains("empty") && Contains("null"));
}

TEST_CASE("text that could be taken for something else is written in quotes", "[recipe]") {
  for (const char* text :
       {"no", "null", "~", "1", "1e3", "true", "a: b", "a #b", "*x", "&x", "[a]", "", " a", "-", "0x1F", "é", "2026-01-01", "a,b"}) {
    INFO(text);
    REQUIRE(format_text(text).front() == '"');
  }
  for (const char* text : {"runs/a", "q_proj", "models/Llama-3.2-1B", "/data/x.jsonl", "../a", "all-linear"})
    REQUIRE(format_text(text) == text);
}

TEST_CASE("a value with a unit may stand in quotes, as YAML and JSON writers put it; a bare number may not", "[recipe]") {
  const auto recipe = parse(kSmallest + "eval: {every: \"30 steps\"}\nmemory: {budget: \"22GiB\"}\n");
  REQUIRE(recipe.eval.every == Frequency{30, Frequency::Unit::kSteps});
  REQUIRE(recipe.memory.budget == int64_t{22} << 30);
  REQUIRE_THAT(error_of(kSmallest + "eval: {every: \"30\"}\n"), Contains("quotes"));
}
