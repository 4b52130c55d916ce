#include "graft/base/signals.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "graft/base/error.h"

namespace graft {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
std::atomic<int> first_signal{0};
std::atomic<int> interrupts{0};
std::atomic<bool> has_flag{false};
sigset_t named_signals;

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

/// A signal that was sent to this very thread (std::raise) waits where no other thread can take it.
bool take_from_this_thread() {
  const timespec at_once{};
  const int number = ::sigtimedwait(&named_signals, nullptr, &at_once);
  if (number > 0) remember(number);
  return number > 0;
}

}  // namespace

/// The thread in which the handlers run, and what was there before.
struct SignalFlag::Watch {
  struct sigaction previous_actions[4];
  sigset_t previous_mask;
  std::mutex mutex;
  std::condition_variable condition;
  bool ended = false;
  std::thread thread;

  void run() {
    const sigset_t set = all_signals();
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    std::unique_lock lock(mutex);
    condition.wait(lock, [this] { return ended; });
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  }
};

SignalFlag::SignalFlag(const std::vector<std::string>& names) : watch_(std::make_unique<Watch>()) {
  const sigset_t set = all_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, &watch_->previous_mask);
  first_signal = 0;
  interrupts = 0;
  sigemptyset(&named_signals);
  struct sigaction action {};
  action.sa_handler = remember;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (int i = 0; i < 4; ++i) {
    const bool named = std::find(names.begin(), names.end(), signal_name(kSignals[i])) != names.end();
    ::sigaction(kSignals[i], named ? &action : nullptr, &watch_->previous_actions[i]);  // without one it only tells what there is
    if (named) sigaddset(&named_signals, kSignals[i]);
  }
  has_flag = true;
  watch_->thread = std::thread([this] { watch_->run(); });
}

SignalFlag::~SignalFlag() {
  {
    const std::lock_guard lock(watch_->mutex);
    watch_->ended = true;
  }
  watch_->condition.notify_one();
  watch_->thread.join();
  while (take_from_this_thread()) {
  }
  has_flag = false;
  first_signal = 0;  // it was for whom this stood
  for (int i = 0; i < 4; ++i) ::sigaction(kSignals[i], &watch_->previous_actions[i], nullptr);
  ::pthread_sigmask(SIG_SETMASK, &watch_->previous_mask, nullptr);
}

void hold_signals() {
  const sigset_t set = all_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int SignalFlag::received() {
  if (has_flag && first_signal == 0) take_from_this_thread();
  return first_signal;
}

void stop_if_signalled(const char* doing) {
  if (const int number = SignalFlag::received(); number != 0)
    throw PreemptedError(std::string("stopped by ") + signal_name(number) + " while " + doing).hint("run the same command again");
}

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
