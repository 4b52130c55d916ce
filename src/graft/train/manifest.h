#pragma once

#include <filesystem>
#include <string>

namespace graft::train {

/// manifest.json: name, size and SHA-256 of every other file of a checkpoint, written last. A checkpoint whose manifest verifies is whole:
///
///   {"format":1,"files":{"state.json":{"size":412,"sha256":"…"}, …},"sha256":"<of the files object's text>"}
///
/// The text is canonical (what write_manifest writes, byte for byte), so a flipped bit anywhere in it is found as well.
inline constexpr const char* kManifestName = "manifest.json";
inline constexpr int kManifestFormat = 1;

/// Hashes every regular file of the directory and writes its manifest. IoError.
void write_manifest(const std::filesystem::path& directory);

/// "" when every file is there with the size and hash it was saved with; otherwise the first thing that is wrong, in words:
/// "adapter_model.safetensors is 512 bytes, 2048 were saved". Never throws for bad content.
std::string verify_manifest(const std::filesystem::path& directory);

}  // namespace graft::train
