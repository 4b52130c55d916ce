#pragma once

#include <memory>
#include <string>
#include <vector>

namespace graft {

/// Turns signals (all of INT, TERM, USR1 and USR2, or those named) into one flag that the training loop reads at step boundaries; the
/// handler does nothing else. What is not named keeps its handler.
/// Handlers run in a thread of the flag's own: in the calling thread, and in those it begins while the flag stands, the four signals are
/// blocked. A thread that computes must take none, for the kernel writes a signal's frame where the stack pointer points, and generated
/// matrix kernels (oneDNN's) point it into their work buffer, so that the frame overwrites the heap. Make the flag before such threads.
/// A second INT ends the process at once (the user means it). The destructor brings the old handlers and the old mask back and puts the
/// flag down again.
class SignalFlag {
 public:
  explicit SignalFlag(const std::vector<std::string>& names = {"INT", "TERM", "USR1", "USR2"});
  ~SignalFlag();
  SignalFlag(const SignalFlag&) = delete;
  SignalFlag& operator=(const SignalFlag&) = delete;

  /// The first signal seen, or 0.
  static int received();

 private:
  struct Watch;
  std::unique_ptr<Watch> watch_;
};

/// Keeps the four signals waiting until a SignalFlag is there to take them (or the process ends): what comes while a run is being set up
/// or torn down stops it in the same way as what comes between. Threads begun meanwhile never take them.
void hold_signals();

/// PreemptedError "stopped by TERM while `doing`" when a signal was seen: for long work whose result a later start makes again.
void stop_if_signalled(const char* doing);

/// "TERM", "USR1", …
const char* signal_name(int number);

}  // namespace graft
