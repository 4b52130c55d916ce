#include "graft/data/source_files.h"

#include <glob.h>

#include <algorithm>
#include <cctype>
#include <system_error>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::data {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string absolute_text(const fs::path& path) { return fs::absolute(path).lexically_normal().string(); }

std::vector<fs::path> expand_glob(const std::string& pattern) {
  glob_t matches{};
  const int result = ::glob(pattern.c_str(), GLOB_NOSORT | GLOB_ERR, nullptr, &matches);
  std::vector<fs::path> paths;
  if (result == 0) paths.assign(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  ::globfree(&matches);
  std::sort(paths.begin(), paths.end(), [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  return paths;
}

std::string nearest_file(const fs::path& path) {
  std::vector<std::string> names;
  std::error_code stopped;
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (auto entry = fs::directory_iterator(parent, stopped); !stopped && entry != fs::directory_iterator() && names.size() < 10000;
       entry.increment(stopped))
    names.push_back(entry->path().filename().string());
  std::sort(names.begin(), names.end());
  const std::string name = nearest_name(path.filename().string(), names);
  return name.empty() ? "" : (path.has_parent_path() ? path.parent_path() / name : fs::path(name)).string();
}

[[noreturn]] void throw_missing(const SourceOptions& source, bool is_glob) {
  std::string message = is_glob ? "no file matches " + source.path + " (tried " + absolute_text(source.path) + ")"
                                : "no such file: " + absolute_text(source.path);
  std::string hint = "relative paths are relative to the working directory, " + fs::current_path().string();
  const fs::path beside = fs::path(source.recipe_directory) / source.path;
  if (!source.recipe_directory.empty() && fs::path(source.path).is_relative() &&
      (is_glob ? !expand_glob(beside.string()).empty() : is_there(beside)))
    hint = "it exists beside the recipe: write " + beside.lexically_normal().string() +
           "; relative paths are relative to the working directory, " + fs::current_path().string();
  throw_source_error(source, message, is_glob ? "" : nearest_file(source.path), hint);
}

std::string lower_name(const fs::path& path) {
  std::string name = path.filename().string();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

void check_file(const SourceOptions& source, const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    throw_source_error(source, "data path is a directory: " + absolute_text(path), "", "name its files: " + (path / "*.jsonl").string());
  if (!fs::is_regular_file(path, ignored))
    throw_source_error(source, "data path is not a regular file: " + absolute_text(path), "", "save the data to a file first");
  const std::string name = lower_name(path);
  for (const char* supported : {".jsonl", ".ndjson", ".json"})
    if (ends_with(name, supported)) return;
  std::string hint = "convert it to .jsonl: one JSON object a line";
  for (const char* packed : {".gz", ".zst", ".xz", ".bz2", ".zip"})
    if (ends_with(name, packed)) hint = "unpack it first: compressed files are not read";
  throw_source_error(source, "cannot read data from " + absolute_text(path) + ": the name must end in .jsonl, .ndjson or .json", "", hint);
}

}  // namespace

void throw_source_error(const SourceOptions& source, const std::string& message, const std::string& nearest, const std::string& hint) {
  if (source.recipe_place.empty()) throw UsageError(message).nearest(nearest).hint(hint);
  throw RecipeError(message).at(source.recipe_place).nearest(nearest).hint(hint);
}

std::vector<fs::path> expand_source(const SourceOptions& source) {
  if (source.path.empty()) throw_source_error(source, "the data path is empty", "", "name a .jsonl or .json file");
  if (source.path.find('\0') != std::string::npos)
    throw_source_error(source, "the data path contains a NUL character", "", "correct the path");
  std::vector<fs::path> files;
  if (is_there(source.path)) {
    files.emplace_back(source.path);
  } else if (source.path.find_first_of("*?[") == std::string::npos) {
    throw_missing(source, false);
  } else {
    if (source.path.find("**") != std::string::npos)
      throw_source_error(source, "the pattern " + source.path + " has **, which is not understood", "", "write one * per folder level");
    files = expand_glob(source.path);
    if (files.empty()) throw_missing(source, true);
  }
  for (const auto& file : files) check_file(source, file);
  return files;
}

}  // namespace graft::data
