#include "graft/io/atomic_directory.h"

#include <sys/wait.h>

#include "files_for_tests.h"
#include "graft/base/error.h"
#include "support/catch.h"

using graft::io::AtomicDirectory;

namespace {

size_t files_in(const std::filesystem::path& directory) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

}  // namespace

TEST_CASE("nothing is at the target before commit, everything after it", "[io]") {
  ScratchDirectory scratch;
  {
    AtomicDirectory directory(scratch / "deep/er/out/");
    std::filesystem::create_directory(directory.path() / "sub");
    graft::write_file(directory.path() / "sub/file", "1");
    REQUIRE_FALSE(std::filesystem::exists(scratch / "deep/er/out"));
    directory.commit();
  }
  REQUIRE(graft::read_file(scratch / "deep/er/out/sub/file") == "1");
  REQUIRE(files_in(scratch / "deep/er") == 1);
}

TEST_CASE("without commit nothing stays", "[io]") {
  ScratchDirectory scratch;
  {
    AtomicDirectory directory(scratch / "out");
    graft::write_file(directory.path() / "file", "1");
  }
  REQUIRE(std::filesystem::is_empty(scratch.path()));
}

TEST_CASE("an existing target is replaced as a whole", "[io]") {
  ScratchDirectory scratch;
  std::filesystem::create_directory(scratch / "out");
  graft::write_file(scratch / "out/old", "1");
  AtomicDirectory directory(scratch / "out");
  graft::write_file(directory.path() / "new", "2");
  directory.commit();
  REQUIRE(graft::read_file(scratch / "out/new") == "2");
  REQUIRE(files_in(scratch / "out") == 1);
  REQUIRE(files_in(scratch.path()) == 1);
}

TEST_CASE("a file at the target is an IoError and stays", "[io]") {
  ScratchDirectory scratch;
  graft::write_file(scratch / "out", "precious");
  REQUIRE_THROWS_AS(AtomicDirectory(scratch / "out"), graft::IoError);
  REQUIRE(graft::read_file(scratch / "out") == "precious");
}

TEST_CASE("what a killed process left is removed by the next one", "[io]") {
  ScratchDirectory scratch;
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicDirectory directory(scratch / "out");
    graft::write_file(directory.path() / "file", "1");
    ::_exit(0);  // no destructor, as a kill
  }
  ::waitpid(child, nullptr, 0);
  REQUIRE(files_in(scratch.path()) == 1);
  AtomicDirectory directory(scratch / "out");
  REQUIRE(files_in(scratch.path()) == 1);  // only its own
  REQUIRE(std::filesystem::is_empty(directory.path()));
}
