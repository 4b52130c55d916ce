#include "graft/io/config_reader.h"

#include "graft/base/error.h"
#include "support/catch.h"

using graft::io::ConfigReader;

namespace {

ConfigReader reader(const char* text) { return ConfigReader(graft::parse_json(text, "config.json"), "config.json"); }

}  // namespace

TEST_CASE("typed getters give values, defaults for absent and null", "[io]") {
  const auto config =
      reader(R"({"hidden_size":64,"eps":1e-6,"theta":10000,"tie":true,"act":"silu","none":null,"eos":[1,2],"bos":3,"arch":["A"]})");
  REQUIRE(config.integer("hidden_size", 1, 1000) == 64);
  REQUIRE(config.integer_or("none", 7, 1, 10) == 7);
  REQUIRE(config.number("eps") == 1e-6);
  REQUIRE(config.number("theta") == 10000.0);
  REQUIRE(config.boolean_or("tie", false));
  REQUIRE(config.string_or("act", "") == "silu");
  REQUIRE_FALSE(config.has("none"));
  REQUIRE(config.integers("eos") == std::vector<int64_t>{1, 2});
  REQUIRE(config.integers("bos") == std::vector<int64_t>{3});
  REQUIRE(config.strings("arch") == std::vector<std::string>{"A"});
  REQUIRE(config.integers("absent").empty());
}

TEST_CASE("a wrong value is a DataError with file, key, what is expected and what was found", "[io]") {
  const auto config = reader(R"({"a":"x","b":1.5,"c":-1,"d":99999999999999999999,"e":18446744073709551615,"f":true,"g":{"h":[1,"2"]}})");
  REQUIRE_THROWS_WITH(config.integer("a", 1, 9), Contains("config.json: a: expected an integer from 1 to 9, found \"x\""));
  for (const char* key : {"b", "c", "d", "e", "f", "g"}) REQUIRE_THROWS_AS(config.integer(key, 0, INT64_MAX), graft::DataError);
  REQUIRE_THROWS_WITH(config.integer("hidden", 1, 9), Contains("found nothing"));
  REQUIRE_THROWS_AS(config.number("f"), graft::DataError);
  REQUIRE_THROWS_AS(config.boolean_or("c", true), graft::DataError);
  REQUIRE_THROWS_AS(config.string_or("c", ""), graft::DataError);
  REQUIRE_THROWS_AS(config.object("a"), graft::DataError);
  REQUIRE_THROWS_WITH(config.object("g")->integers("h"), Contains("config.json: g.h"));
  REQUIRE_THROWS_AS(reader("[1]"), graft::DataError);
}

TEST_CASE("unread names every key nobody looked at, nested ones too", "[io]") {
  const auto config = reader(R"({"read":1,"unread":2,"ignored":3,"nothing":null,"rope":{"factor":2,"odd":1},"whole":{"x":1}})");
  config.integer("read", 0, 9);
  config.ignore({"ignored"});
  const auto copy = config;
  copy.object("rope")->number("factor");
  REQUIRE(config.unread() == std::vector<std::string>{"unread", "rope.odd", "whole"});
}
