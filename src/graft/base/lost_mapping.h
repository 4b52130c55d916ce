#pragma once

namespace graft {

/// For a process whose own main() is ours: reading a mapped file that another process has cut short, or whose disk fails, ends it with a
/// message and ExitCode::kIo instead of SIGBUS. Every other bus error keeps its default end. A library does not take a program's signals:
/// only the command line calls this, once, before anything is mapped.
void end_on_lost_mapping();

}  // namespace graft
