#include "graft/base/json.h"

#include "graft/base/error.h"
#include "support/catch.h"

TEST_CASE("parse_json keeps the order of keys", "[base]") {
  REQUIRE(graft::dump_json(graft::parse_json(R"({"b":1,"a":2})", "x")) == R"({"b":1,"a":2})");
}

TEST_CASE("parse_json refuses what readers disagree about, with the place", "[base]") {
  REQUIRE_THROWS_WITH(graft::parse_json("{\"a\":1,\n \"a\":2}", "f.json"), Contains("\"a\" twice"));
  REQUIRE_THROWS_WITH(graft::parse_json("{\"a\":\n  nul}", "f.json"), Contains("f.json:2:"));
  REQUIRE_THROWS_AS(graft::parse_json("{} {}", "f.json"), graft::DataError);
  REQUIRE_THROWS_AS(graft::parse_json("", "f.json"), graft::DataError);
  REQUIRE_THROWS_AS(graft::parse_json("[1e400]", "f.json"), graft::DataError);
  REQUIRE_THROWS_AS(graft::parse_json("\"\xff\"", "f.json"), graft::DataError);
  REQUIRE_THROWS_WITH(graft::parse_json(std::string(100000, '['), "f.json"), Contains("nested deeper"));
}
