#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/strings.h"
#include "graft/io/safetensors.h"
#include "graft/io/safetensors_header.h"

namespace graft::io {
namespace {

constexpr uint64_t kLengthField = 8;

// O_NONBLOCK: opening a FIFO must not wait for its writer.
FileDescriptor open_regular_file(const fs::path& path, struct stat* status) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) throw_io_error("cannot open file", path, errno);
  if (::fstat(file.get(), status) != 0) throw_io_error("cannot read file", path, errno);
  if (!S_ISREG(status->st_mode)) throw DataError("not a regular file").at(path.string()).hint("give a .safetensors file");
  return file;
}

// Reads exactly `size` bytes; false when the file ends before.
bool read_exactly(int descriptor, char* into, uint64_t size, uint64_t offset, const fs::path& path) {
  while (size > 0) {
    const ssize_t count = ::pread(descriptor, into, std::min<uint64_t>(size, uint64_t{1} << 30), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_io_error("cannot read file", path, errno);
    if (count == 0) return false;
    into += count;
    size -= static_cast<uint64_t>(count);
    offset += static_cast<uint64_t>(count);
  }
  return true;
}

uint64_t read_header_length(int descriptor, uint64_t file_size, Strictness strictness, const fs::path& path) {
  const auto refuse = [&](const std::string& rule) {
    throw DataError(rule).at(path.string()).hint("the file is damaged, not complete or not safetensors; fetch or write it again");
  };
  if (file_size < kLengthField) refuse("header size: the file has " + std::to_string(file_size) + " bytes, its length field alone needs 8");
  unsigned char field[kLengthField];
  if (!read_exactly(descriptor, reinterpret_cast<char*>(field), kLengthField, 0, path))
    refuse("truncation: the file ends inside its length field");
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | field[i];
  if (length > kHeaderLimit) refuse("header size: " + std::to_string(length) + " bytes, more than the format's limit of 100000000");
  if (length > file_size - kLengthField)
    refuse("truncation: the header should have " + std::to_string(length) + " bytes, the file has " +
           std::to_string(file_size - kLengthField) + " after the length field");
  if (strictness == Strictness::kOwn && length > kOwnHeaderLimit)
    refuse("header size: " + std::to_string(length) + " bytes; an adapter's or checkpoint's may have 16 MiB");
  return length;
}

}  // namespace

struct SafetensorsFile::State {
  fs::path path;
  Access access = Access::kMapped;
  FileDescriptor file;
  struct stat opened {};
  uint64_t file_size = 0, data_begin = 0;
  SafetensorsHeader header;
  std::unordered_map<std::string_view, size_t> index;

  /// What mapping() hands out. Pages of the file or memory; made at the first use.
  struct Memory {
    char* begin = nullptr;
    size_t size = 0;
    bool mapped = false;
    ~Memory() {
      if (mapped)
        ::munmap(begin, size);
      else
        std::free(begin);
    }
  };
  std::shared_ptr<Memory> memory;
  std::once_flag memory_made;

  void check_unchanged() const {
    struct stat now {};
    if (::fstat(file.get(), &now) != 0) throw_io_error("cannot read file", path, errno);
    if (now.st_size != opened.st_size || now.st_mtim.tv_sec != opened.st_mtim.tv_sec || now.st_mtim.tv_nsec != opened.st_mtim.tv_nsec)
      throw DataError("the file changed while it was being read")
          .at(path.string())
          .hint("let nothing write to it while graft runs, then start again");
  }

  // The whole file, so that data_offsets keep their alignment relative to the (page- or 64-byte-aligned) start.
  std::shared_ptr<Memory> make_memory() const {
    auto made = std::make_shared<Memory>();
    made->size = file_size;
    if (access == Access::kMapped) {
      // Writable but private: a caller that writes into a tensor gets its own copy of the page, never a fault and never the file.
      void* begin = ::mmap(nullptr, file_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.get(), 0);
      if (begin == MAP_FAILED) throw_io_error("cannot map file", path, errno);
      made->begin = static_cast<char*>(begin);
      made->mapped = true;
      return made;
    }
    made->begin = static_cast<char*>(std::aligned_alloc(64, (file_size + 63) / 64 * 64));
    if (made->begin == nullptr) throw_io_error("no memory for the file's " + format_bytes(static_cast<double>(file_size)), path, ENOMEM);
    if (!read_exactly(file.get(), made->begin, file_size, 0, path))
      throw DataError("truncation: the file shrank while it was being read").at(path.string());
    check_unchanged();
    return made;
  }

  char* data() {
    std::call_once(memory_made, [this] { memory = make_memory(); });
    return memory->begin + data_begin;
  }
};

SafetensorsFile::SafetensorsFile(std::shared_ptr<State> state) : state_(std::move(state)) {}
SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

SafetensorsFile SafetensorsFile::open(const fs::path& path, Strictness strictness) {
  return open(path, strictness, strictness == Strictness::kOwn ? Access::kInMemory : Access::kMapped);
}

SafetensorsFile SafetensorsFile::open(const fs::path& path, Strictness strictness, Access access) {
  auto state = std::make_shared<State>();
  state->path = path;
  state->access = access;
  state->file = open_regular_file(path, &state->opened);
  state->file_size = static_cast<uint64_t>(state->opened.st_size);
  const uint64_t length = read_header_length(state->file.get(), state->file_size, strictness, path);
  state->data_begin = kLengthField + length;
  std::string json(length, '\0');
  if (!read_exactly(state->file.get(), json.data(), length, kLengthField, path))
    throw DataError("truncation: the file ends inside its header").at(path.string());
  state->header = parse_safetensors_header(json, state->file_size - state->data_begin, strictness, path.string());
  for (size_t i = 0; i < state->header.entries.size(); ++i) state->index.emplace(state->header.entries[i].name, i);
  return SafetensorsFile(std::move(state));
}

const fs::path& SafetensorsFile::path() const { return state_->path; }
const std::vector<TensorEntry>& SafetensorsFile::entries() const { return state_->header.entries; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return state_->header.metadata; }
uint64_t SafetensorsFile::file_size() const { return state_->file_size; }

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = state_->index.find(name);
  return found == state_->index.end() ? nullptr : &state_->header.entries[found->second];
}

std::string_view SafetensorsFile::bytes(const TensorEntry& entry) const {
  if (state_->access == Access::kMapped) state_->check_unchanged();
  return {state_->data() + entry.begin, static_cast<size_t>(entry.end - entry.begin)};
}

void SafetensorsFile::read(const TensorEntry& entry, uint64_t offset, char* into, uint64_t size) const {
  if (offset > entry.end - entry.begin || size > entry.end - entry.begin - offset)
    throw InternalError("a read beyond the tensor's end").at(state_->path.string() + ": " + entry.name);
  state_->check_unchanged();
  if (!read_exactly(state_->file.get(), into, size, state_->data_begin + entry.begin + offset, state_->path))
    throw DataError("truncation: the file shrank while it was being read").at(state_->path.string() + ": " + entry.name);
}

std::shared_ptr<const void> SafetensorsFile::mapping() const {
  state_->data();
  return state_->memory;
}

void SafetensorsFile::release(const TensorEntry& entry) const {
  if (state_->access == Access::kInMemory) return;  // plain memory: dropping its pages would zero them
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<uintptr_t>(state_->data());
  const uintptr_t begin = (start + entry.begin + page - 1) / page * page;  // inwards: the pages at the edges hold neighbours too
  const uintptr_t end = (start + entry.end) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace graft::io
