#pragma once

#include <string>
#include <vector>

namespace graft {

/// Turns signals (all of INT, TERM, USR1 and USR2, or those named) into one flag that the training loop reads at step boundaries; the
/// handler does nothing else. What is not named keeps its handler.
/// A second INT ends the process at once (the user means it). The old handlers come back in the destructor, and the flag is down again.
class SignalFlag {
 public:
  explicit SignalFlag(const std::vector<std::string>& names = {"INT", "TERM", "USR1", "USR2"});
  ~SignalFlag();
  SignalFlag(const SignalFlag&) = delete;
  SignalFlag& operator=(const SignalFlag&) = delete;

  /// The first signal seen, or 0.
  static int received();
};

/// Keeps the four signals waiting until a SignalFlag is there to take them (or the process ends): what comes while a run is being set up
/// stops it in the same way as what comes later. Threads begun meanwhile never take them.
void hold_signals();

/// "TERM", "USR1", …
const char* signal_name(int number);

}  // namespace graft
