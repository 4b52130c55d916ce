#include "graft/base/lost_mapping.h"

#include <unistd.h>

#include <csignal>
#include <string_view>

#include "graft/base/error.h"

namespace graft {
namespace {

constexpr std::string_view kMessage =
    "error: a file that is being read was cut short by another process, or its disk failed\n"
    "  hint: see that nothing rewrites model or data files in place while a run uses them, then run the same line again\n";

/// Only what is allowed inside a signal handler.
void end(int number, siginfo_t* info, void* /*context*/) {
  if (info->si_code == BUS_ADRERR) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
    ::_exit(static_cast<int>(ExitCode::kIo));
  }
  ::signal(number, SIG_DFL);
  ::raise(number);
}

}  // namespace

void end_on_lost_mapping() {
  struct sigaction action {};
  action.sa_sigaction = end;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace graft
