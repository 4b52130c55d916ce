#include "graft/base/lost_mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "support/catch.h"

namespace {

/// How a child ends that does `body`.
int status_of(void (*body)()) {
  const pid_t child = ::fork();
  if (child == 0) {
    graft::end_on_lost_mapping();
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

void read_a_file_cut_short() {
  char path[] = "/tmp/graft_lost_mapping.bin";
  const int file = ::open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (::ftruncate(file, 1 << 16) != 0) ::_exit(1);
  const auto* bytes = static_cast<const volatile char*>(::mmap(nullptr, 1 << 16, PROT_READ, MAP_SHARED, file, 0));
  ::unlink(path);
  if (bytes[1 << 15] != 0 || ::ftruncate(file, 0) != 0) ::_exit(2);
  ::_exit(bytes[1 << 15] == 0 ? 3 : 4);  // not reached
}

void raise_bus_error() { ::raise(SIGBUS); }

}  // namespace

TEST_CASE("a mapped file that is cut short ends the process with the code for I/O", "[base]") {
  const int status = status_of(read_a_file_cut_short);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == static_cast<int>(graft::ExitCode::kIo));
}

TEST_CASE("another bus error keeps its default end", "[base]") {
  const int status = status_of(raise_bus_error);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGBUS);
}
