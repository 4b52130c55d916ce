#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/io/safetensors.h"
#include "graft/io/safetensors_header.h"

namespace graft::io {
namespace {

// The reference sorts by its enum's descending order; this is where each of ours stands in it (U64 I64 F64 C64 U32 …).
int sort_rank(DType dtype) {
  static constexpr std::array<DType, 16> kOrder = {DType::kU64,    DType::kI64, DType::kF64, DType::kF32, DType::kU32,    DType::kI32,
                                                   DType::kBF16,   DType::kF16, DType::kU16, DType::kI16, DType::kF8E8M0, DType::kF8E4M3,
                                                   DType::kF8E5M2, DType::kI8,  DType::kU8,  DType::kBool};
  return static_cast<int>(std::find(kOrder.begin(), kOrder.end(), dtype) - kOrder.begin());
}

// As serde_json writes strings: short escapes, \u00xx in lower case for other controls, everything else as it is.
void append_json_string(const std::string& text, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  *out += '"';
  for (const char c : text) {
    const size_t simple = std::string_view("\"\\\b\f\n\r\t").find(c);
    if (simple != std::string_view::npos) {
      *out += '\\';
      *out += "\"\\bfnrt"[simple];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      *out += "\\u00";
      *out += kHex[c >> 4];
      *out += kHex[c & 15];
    } else {
      *out += c;
    }
  }
  *out += '"';
}

std::string header_json(const std::vector<TensorEntry>& tensors, const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      if (json.back() != '{') json += ',';
      append_json_string(key, &json);
      json += ':';
      append_json_string(value, &json);
    }
    json += '}';
  }
  for (const auto& tensor : tensors) {
    if (json.size() > 1) json += ',';
    append_json_string(tensor.name, &json);
    json += std::string(":{\"dtype\":\"") + to_string(tensor.dtype) + "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) json += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    json += "],\"data_offsets\":[" + std::to_string(tensor.begin) + "," + std::to_string(tensor.end) + "]}";
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  return json;
}

// Sorted as the reference sorts, with places.
std::vector<TensorEntry> lay_out(std::vector<TensorEntry> tensors, const fs::path& path) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(sort_rank(a.dtype), std::string_view(a.name)) < std::pair(sort_rank(b.dtype), std::string_view(b.name));
  });
  std::vector<std::string_view> names;
  for (const auto& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    throw InternalError("two tensors named \"" + std::string(*twice) + "\" for one file").at(path.string());
  uint64_t place = 0;
  for (auto& tensor : tensors) {
    tensor.begin = place;
    place += static_cast<uint64_t>(tensor.numel() * size_of(tensor.dtype));
    tensor.end = place;
  }
  return tensors;
}

fs::path sibling_temporary(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  fs::path name = "." + path.filename().string() + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  return path.parent_path() / name;
}

}  // namespace

struct SafetensorsWriter::State {
  fs::path path, temporary;
  std::vector<TensorEntry> tensors;
  FileDescriptor file;
  uint64_t declared = 0, written = 0;
  bool finished = false;
};

SafetensorsWriter::SafetensorsWriter(const fs::path& path, std::vector<TensorEntry> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->tensors = lay_out(std::move(tensors), path);
  state_->declared = state_->tensors.empty() ? 0 : state_->tensors.back().end;
  const std::string json = header_json(state_->tensors, metadata);
  if (json.size() > kHeaderLimit)
    throw DataError("header size: the names and shapes need more than the format's 100000000 bytes").at(path.string());
  std::string head(8, '\0');
  for (int i = 0; i < 8; ++i) head[static_cast<size_t>(i)] = static_cast<char>(static_cast<uint64_t>(json.size()) >> (8 * i) & 0xFF);
  head += json;

  state_->temporary = sibling_temporary(path);
  state_->file = FileDescriptor(::open(state_->temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (state_->file.get() < 0) throw_io_error("cannot create file", path, errno);
  try {
    // Reserving the space makes a full disk fail here and not after an hour of writing. Not every file system can.
    const auto total = static_cast<off_t>(head.size() + state_->declared);
    if (::fallocate(state_->file.get(), 0, 0, total) != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
      throw_io_error("cannot reserve " + std::to_string(total) + " bytes for the file", path, errno);
    write_all(state_->file.get(), head, path);
  } catch (...) {
    ::unlink(state_->temporary.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (state_ && !state_->finished) ::unlink(state_->temporary.c_str());
}

const std::vector<TensorEntry>& SafetensorsWriter::order() const { return state_->tensors; }

void SafetensorsWriter::append(std::string_view bytes) {
  if (bytes.size() > state_->declared - state_->written) throw InternalError("more bytes given than declared").at(state_->path.string());
  write_all(state_->file.get(), bytes, state_->path);
  state_->written += bytes.size();
}

void SafetensorsWriter::sync() {
  if (::fdatasync(state_->file.get()) != 0) throw_io_error("cannot flush file to disk", state_->path, errno);
}

void SafetensorsWriter::finish() {
  if (state_->written != state_->declared)
    throw InternalError(std::to_string(state_->written) + " of " + std::to_string(state_->declared) + " declared bytes given")
        .at(state_->path.string());
  if (::fsync(state_->file.get()) != 0) throw_io_error("cannot flush file to disk", state_->path, errno);
  if (::rename(state_->temporary.c_str(), state_->path.c_str()) != 0) throw_io_error("cannot rename into place", state_->path, errno);
  state_->finished = true;
  sync_directory(state_->path.has_parent_path() ? state_->path.parent_path() : fs::path("."));
}

}  // namespace graft::io
