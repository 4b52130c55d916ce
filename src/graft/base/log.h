#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace graft::log {

/// Lines for people, on stderr (never stdout) and, once a run directory exists, in its log.txt as well. Thread-safe.
enum class Level { kQuiet, kNormal, kVerbose };
enum class Color { kAuto, kAlways, kNever };

void set_level(Level level);
void set_color(Color color);
/// Copies every later line to the end of this file (without colour codes).
void copy_to_file(const std::filesystem::path& path);

void info(std::string_view line);     ///< shown unless quiet
void warning(std::string_view line);  ///< "warning: …"; always shown
void error(std::string_view line);    ///< "error: …"; always shown
void verbose(std::string_view line);  ///< shown with --verbose; always in the file

/// One line that is redrawn in place on a terminal; a no-op elsewhere unless `anywhere`. "" clears it.
void status(std::string_view line, bool anywhere = false);

/// Whether stderr is a terminal that takes escape codes (Color::kAuto and NO_COLOR counted).
bool stderr_is_terminal();
bool use_color();

}  // namespace graft::log
