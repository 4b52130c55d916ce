#include "graft/base/signals.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>

namespace graft {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
struct sigaction previous[4];
std::atomic<int> first_signal{0};
std::atomic<int> interrupts{0};

sigset_t all_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kSignals) sigaddset(&set, number);
  return set;
}

void remember(int number) {
  int none = 0;
  first_signal.compare_exchange_strong(none, number);
  if (number == SIGINT && interrupts.fetch_add(1) > 0) ::_exit(128 + SIGINT);
}

}  // namespace

SignalFlag::SignalFlag(const std::vector<std::string>& names) {
  first_signal = 0;
  interrupts = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (int i = 0; i < 4; ++i) {
    const bool named = std::find(names.begin(), names.end(), signal_name(kSignals[i])) != names.end();
    ::sigaction(kSignals[i], named ? &action : nullptr, &previous[i]);  // without an action it only tells the handler there is
  }
  const sigset_t held = all_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &held, nullptr);
}

SignalFlag::~SignalFlag() {
  first_signal = 0;  // it was for whom this stood
  for (int i = 0; i < 4; ++i) ::sigaction(kSignals[i], &previous[i], nullptr);
}

void hold_signals() {
  const sigset_t held = all_signals();
  ::pthread_sigmask(SIG_BLOCK, &held, nullptr);
}

int SignalFlag::received() { return first_signal; }

const char* signal_name(int number) {
  switch (number) {
    case SIGINT:
      return "INT";
    case SIGTERM:
      return "TERM";
    case SIGUSR1:
      return "USR1";
    case SIGUSR2:
      return "USR2";
    default:
      return "?";
  }
}

}  // namespace graft
