#pragma once

namespace graft {

/// Turns INT, TERM, USR1 and USR2 into one flag that the training loop reads at step boundaries; the handler does nothing else.
/// A second INT ends the process at once (the user means it). The old handlers come back in the destructor.
class SignalFlag {
 public:
  SignalFlag();
  ~SignalFlag();
  SignalFlag(const SignalFlag&) = delete;
  SignalFlag& operator=(const SignalFlag&) = delete;

  /// The first signal seen, or 0.
  static int received();
};

/// "TERM", "USR1", …
const char* signal_name(int number);

}  // namespace graft
