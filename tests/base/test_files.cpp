#include "graft/base/files.h"

#include "graft/base/error.h"
#include "graft/base/sha256.h"
#include "support/catch.h"

TEST_CASE("a file is replaced whole", "[base]") {
  const auto path = graft::fs::temp_directory_path() / "graft_test_files.txt";
  graft::replace_file(path, "one");
  graft::replace_file(path, "two");
  REQUIRE(graft::read_file(path) == "two");
  REQUIRE(graft::sha256_of_file(path) == graft::sha256("two"));
  graft::fs::remove(path);
}

TEST_CASE("a missing file is an I/O error that names it", "[base]") {
  REQUIRE_THROWS_AS(graft::read_file("/no/such/file"), graft::IoError);
  REQUIRE_THROWS_WITH(graft::read_file("/no/such/file"), Contains("/no/such/file"));
}

TEST_CASE("sha256 equals the standard's test vector", "[base]") {
  REQUIRE(graft::sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
