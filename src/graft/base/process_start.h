#pragma once

namespace graft {

/// What a process whose main() is ours does first, so that faults of its surroundings are errors with a message:
///   a standard descriptor that is closed becomes /dev/null (the next file opened would take its number, and log lines with it);
///   a reader that goes away (SIGPIPE) and a limit on file sizes (SIGXFSZ) are failed writes, and end nothing by signal.
/// A library does not do this to a program: only the command line calls it.
void start_process();

}  // namespace graft
