#include "graft/base/strings.h"

#include "support/catch.h"

TEST_CASE("nearest_name finds a slip of the fingers and stays silent otherwise", "[base]") {
  const std::vector<std::string> keys = {"rank", "alpha", "dropout", "target"};
  REQUIRE(graft::nearest_name("rnak", keys) == "rank");
  REQUIRE(graft::nearest_name("dropuot", keys) == "dropout");
  REQUIRE(graft::nearest_name("learning_rate", keys).empty());
}

TEST_CASE("is_valid_utf8 refuses overlong forms, surrogates and cut sequences", "[base]") {
  REQUIRE(graft::is_valid_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  for (const char* bad : {"\xC0\x80", "\xED\xA0\x80", "\xE2\x82", "\xF4\x90\x80\x80", "\xFF", "\x80"})
    REQUIRE_FALSE(graft::is_valid_utf8(bad));
}

TEST_CASE("sizes and counts read like a person writes them", "[base]") {
  REQUIRE(graft::format_bytes(1536) == "1.50 KiB");
  REQUIRE(graft::format_count(1234567) == "1,234,567");
  REQUIRE(graft::enumerate({"a", "b", "c"}) == "a, b and c");
}
