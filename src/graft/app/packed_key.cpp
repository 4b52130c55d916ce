#include "graft/app/packed_key.h"

#include <sys/stat.h>

#include <cerrno>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/sha256.h"
#include "graft/base/strings.h"

namespace graft::app {
namespace {

std::string time_of_change(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_io_error("cannot read file", path, errno);
  return std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec);
}

/// The header's content, not its spelling.
std::string header_text(const io::SafetensorsFile& file) {
  std::string text;
  for (const auto& entry : file.entries()) {
    text += entry.name + '\n' + io::to_string(entry.dtype);
    for (const int64_t size : entry.shape) text += ' ' + std::to_string(size);
    text += ' ' + std::to_string(entry.begin) + '\n';
  }
  return text;
}

/// Whatever is no checksum fits no tensor.
PackedChecksums read_checksums(const Json& manifest) {
  PackedChecksums checksums;
  const Json saved = manifest.value("checksums", Json());
  for (const auto& [name, sum] : saved.items()) checksums[name] = sum.is_string() ? sum.get<std::string>() : "";
  return checksums;
}

}  // namespace

std::string packed_key(const recipe::Recipe& recipe, const io::ModelDirectory& model, const std::string& base_fingerprint) {
  const auto& quant = recipe.quant;
  std::string text = "packed " + std::to_string(kPackedFormat) + '\n' + base_fingerprint + '\n' + recipe.model.dtype + '\n' + quant.type +
                     (quant.double_quant ? " double " : " single ") + std::to_string(quant.block) + '\n' + join(quant.skip, "\n") + '\n';
  for (const auto& file : model.files())
    text += file.path().filename().string() + '\n' + std::to_string(file.file_size()) + ' ' + time_of_change(file.path()) + '\n' +
            header_text(file);
  return sha256(text);
}

Json packed_manifest_json(const PackedManifest& manifest) {
  return {{"about", "4-bit weights of a model, kept by graft (quant.cache) for a quicker start; may be deleted at any time"},
          {"format", kPackedFormat},
          {"key", manifest.key},
          {"model", manifest.model},
          {"bytes", manifest.bytes},
          {"checksums", manifest.checksums}};
}

PackedCopy open_packed(const fs::path& directory, const std::string& key) {
  const auto path = directory / "config.json";
  const Json manifest = read_json(path.string());
  const auto refuse = [&](const std::string& what, const fs::path& place) { throw DataError(what).at(place.string()); };
  if (!manifest.is_object() || manifest.value("format", Json()) != Json(kPackedFormat) || manifest.value("key", Json()) != Json(key))
    refuse("it is not the packed copy that its name says", path);
  PackedCopy packed{io::ModelDirectory(directory), read_checksums(manifest)};
  const auto& file = packed.directory.files().front();
  const auto length = static_cast<int64_t>(file.file_size());
  if (packed.directory.files().size() != 1 || manifest.value("bytes", Json()) != Json(length) ||
      packed.checksums.size() != file.entries().size())
    refuse("its weights are not those that were written", file.path());
  return packed;
}

}  // namespace graft::app
