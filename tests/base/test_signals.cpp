#include "graft/base/signals.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "graft/base/error.h"
#include "support/catch.h"

namespace {

using graft::SignalFlag;

bool is_blocked(int number) {
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return sigismember(&mask, number) == 1;
}

/// A signal to the process is taken by the flag's thread a moment later.
int received_soon() {
  for (int i = 0; i < 5000 && SignalFlag::received() == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return SignalFlag::received();
}

}  // namespace

TEST_CASE("a signal to the process raises the flag, and threads that compute never take it", "[base]") {
  REQUIRE_FALSE(is_blocked(SIGTERM));
  {
    const SignalFlag flag;
    CHECK(SignalFlag::received() == 0);
    CHECK(is_blocked(SIGTERM));
    bool blocked_in_worker = false;
    std::thread([&] {
      blocked_in_worker = is_blocked(SIGTERM) && is_blocked(SIGINT) && is_blocked(SIGUSR1) && is_blocked(SIGUSR2);
    }).join();
    CHECK(blocked_in_worker);
    ::kill(::getpid(), SIGTERM);
    CHECK(received_soon() == SIGTERM);
    ::kill(::getpid(), SIGUSR1);
    CHECK(received_soon() == SIGTERM);  // the first one counts
    CHECK_THROWS_AS(graft::stop_if_signalled("waiting"), graft::PreemptedError);
  }
  CHECK_FALSE(is_blocked(SIGTERM));
  CHECK(SignalFlag::received() == 0);
  graft::stop_if_signalled("nothing");
}

TEST_CASE("a signal that a thread sends to itself is seen at once and does not outlive the flag", "[base]") {
  {
    const SignalFlag flag;
    ::raise(SIGUSR2);
    CHECK(SignalFlag::received() == SIGUSR2);
    ::raise(SIGTERM);
  }
  const SignalFlag next;
  CHECK(SignalFlag::received() == 0);
}

TEST_CASE("what is not named keeps its handler", "[base]") {
  static volatile sig_atomic_t seen = 0;
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { seen = 1; };
  ::sigaction(SIGUSR1, &action, &before);
  {
    const SignalFlag flag({"TERM"});
    ::kill(::getpid(), SIGUSR1);
    for (int i = 0; i < 5000 && seen == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(seen == 1);
    CHECK(SignalFlag::received() == 0);
  }
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("signals that were held before the flag are held again after it", "[base]") {
  graft::hold_signals();
  { const SignalFlag flag; }
  ::kill(::getpid(), SIGTERM);  // would end the process
  sigset_t held;
  sigemptyset(&held);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) sigaddset(&held, number);
  const timespec at_once{};
  CHECK(::sigtimedwait(&held, nullptr, &at_once) == SIGTERM);
  ::pthread_sigmask(SIG_UNBLOCK, &held, nullptr);
}
