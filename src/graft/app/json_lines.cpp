#include "graft/app/json_lines.h"

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "graft/base/error.h"
#include "graft/base/files.h"

namespace graft::app {
namespace {

/// parse_json whose errors have the place `file:line:column` in the file.
Json parse_line(const std::string& line, const std::string& place) {
  try {
    return parse_json(line, "");
  } catch (const Error& error) {
    const size_t column = error.where().rfind(':');  // ":1:COLUMN"
    throw DataError(error.message()).at(column == std::string::npos ? place : place + error.where().substr(column)).hint(error.hint());
  }
}

}  // namespace

void for_each_json_line(const std::string& path, const std::function<void(const Json&, const std::string&)>& use) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) throw_io_error("cannot read", path, errno != 0 ? errno : EISDIR);
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string place = path + ":" + std::to_string(number);
    use(parse_line(line, place), place);
  }
  if (file.bad()) throw_io_error("cannot read", path, errno);
}

}  // namespace graft::app
