#include "graft/train/manifest.h"

#include <algorithm>
#include <functional>
#include <future>
#include <vector>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/sha256.h"

namespace graft::train {
namespace {

constexpr uint64_t kManifestLimit = 1 << 20;

std::string canonical_text(const Json& files) {
  Json manifest;
  manifest["format"] = kManifestFormat;
  manifest["files"] = files;
  manifest["sha256"] = sha256(dump_json(files));
  return dump_json(manifest, 2) + "\n";
}

/// What is wrong with one file, or "".
std::string check_file(const std::filesystem::path& directory, const std::string& name, const Json& entry) {
  if (name.empty() || name.find('/') != std::string::npos || name == "..") return "it names a file outside the checkpoint";
  const auto path = directory / name;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return name + " is missing";
  const auto saved_size = entry.at("size").get<uint64_t>();
  const auto size = std::filesystem::file_size(path, error);
  if (error || size != saved_size) return name + " is " + std::to_string(size) + " bytes, " + std::to_string(saved_size) + " were saved";
  if (sha256_of_file(path) != entry.at("sha256").get<std::string>()) return name + " is not what was saved (its SHA-256 differs)";
  return "";
}

}  // namespace

void write_manifest(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.is_regular_file() && entry.path().filename() != kManifestName) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  std::vector<std::future<std::string>> hashes;
  for (const auto& name : names)
    hashes.push_back(std::async(std::launch::async, [&directory, &name] { return sha256_of_file(directory / name); }));
  Json files = Json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    files[names[i]]["size"] = std::filesystem::file_size(directory / names[i]);
    files[names[i]]["sha256"] = hashes[i].get();
  }
  write_file(directory / kManifestName, canonical_text(files));
}

std::string verify_manifest(const std::filesystem::path& directory) {
  const auto path = directory / kManifestName;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return "manifest.json is missing";
  try {
    const std::string text = read_file(path, kManifestLimit);
    const Json manifest = parse_json(text, path.string(), 8);
    if (!manifest.is_object() || manifest.value("format", Json()) != Json(kManifestFormat))
      return "manifest.json has a format this version (" + std::to_string(kManifestFormat) + ") does not know";
    const Json& files = manifest.at("files");
    if (!files.is_object() || files.empty() || text != canonical_text(files)) return "manifest.json is not what was saved";
    std::vector<std::future<std::string>> found;
    for (const auto& [name, entry] : files.items())
      found.push_back(std::async(std::launch::async, check_file, std::cref(directory), name, std::cref(entry)));
    std::string wrong;
    for (auto& one : found) {
      const std::string its = one.get();
      if (wrong.empty()) wrong = its;
    }
    return wrong;
  } catch (const Error& wrong) {
    return "manifest.json: " + wrong.message();
  } catch (const std::exception& wrong) {
    return std::string("manifest.json is malformed: ") + wrong.what();
  }
}

}  // namespace graft::train
