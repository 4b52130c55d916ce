#include "graft/io/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/io/json_scanner.h"
#include "graft/io/printable.h"

namespace graft::io {
namespace {

struct Limits {
  size_t name_bytes, dimensions, tensors;
};
constexpr Limits kForeignLimits{std::numeric_limits<size_t>::max(), 64, 1'000'000};
constexpr Limits kOwnLimits{512, 16, 1'000'000};

const char* kRefetch = "the file is damaged or not complete; fetch or write it again";

class HeaderParser {
 public:
  HeaderParser(std::string_view json, Strictness strictness, const std::string& path)
      : scanner_(json, path), own_(strictness == Strictness::kOwn), limits_(own_ ? kOwnLimits : kForeignLimits), path_(path) {}

  SafetensorsHeader parse() {
    scanner_.expect('{', "the header's '{'");
    if (!scanner_.take('}')) {
      do {
        std::string key = scanner_.string("a tensor name");
        scanner_.expect(':', "':'");
        if (key == "__metadata__")
          read_metadata();
        else
          read_entry(std::move(key));
      } while (scanner_.next_member('}'));
    }
    scanner_.expect_end();
    return std::move(header_);
  }

 private:
  [[noreturn]] void refuse(const std::string& tensor, const std::string& rule) const {
    throw DataError(rule).at(path_ + ": " + printable(tensor)).hint(kRefetch);
  }

  void read_metadata() {
    if (metadata_seen_) refuse("__metadata__", "duplicate key: the header has __metadata__ twice");
    metadata_seen_ = true;
    if (!own_ && scanner_.take_null()) return;
    scanner_.expect('{', "an object of strings as __metadata__");
    if (scanner_.take('}')) return;
    do {
      std::string key = scanner_.string("a metadata key");
      scanner_.expect(':', "':'");
      std::string value = scanner_.string("a string as metadata value");
      if (own_ && header_.metadata.count(key) != 0) refuse("__metadata__", "duplicate key: metadata has \"" + printable(key) + "\" twice");
      header_.metadata[std::move(key)] = std::move(value);
    } while (scanner_.next_member('}'));
  }

  void check_name(const std::string& name) {
    if (name.empty()) refuse("\"\"", "tensor name: a tensor has an empty name");
    if (name.find('\0') != std::string::npos) refuse(name, "tensor name: it holds a NUL byte");
    if (name.size() > limits_.name_bytes) refuse(name, "tensor name: longer than " + std::to_string(limits_.name_bytes) + " bytes");
    if (!names_.insert(name).second) refuse(name, "duplicate key: the header names this tensor twice");
    if (header_.entries.size() >= limits_.tensors) refuse(name, "too many tensors: more than " + std::to_string(limits_.tensors));
  }

  void read_entry(std::string name) {
    check_name(name);
    TensorEntry entry;
    entry.name = std::move(name);
    if (scanner_.peek() != '{') refuse(entry.name, "entry: expected an object with dtype, shape and data_offsets");
    scanner_.take('{');
    bool has_dtype = false, has_shape = false, has_offsets = false;
    const auto once = [&](bool* seen, const char* field) {
      if (*seen) refuse(entry.name, std::string("duplicate key: the field ") + field + " is there twice");
      *seen = true;
    };
    if (!scanner_.take('}')) {
      do {
        const std::string field = scanner_.string("a field name");
        scanner_.expect(':', "':'");
        if (field == "dtype")
          once(&has_dtype, "dtype"), read_dtype(&entry);
        else if (field == "shape")
          once(&has_shape, "shape"), read_shape(&entry);
        else if (field == "data_offsets")
          once(&has_offsets, "data_offsets"), read_offsets(&entry);
        else
          skip_unknown(entry.name, field);
      } while (scanner_.next_member('}'));
    }
    const char* missing = !has_dtype ? "dtype" : !has_shape ? "shape" : !has_offsets ? "data_offsets" : nullptr;
    if (missing != nullptr) refuse(entry.name, std::string("missing field: the entry has no ") + missing);
    header_.entries.push_back(std::move(entry));
  }

  void skip_unknown(const std::string& tensor, const std::string& field) {
    if (own_) refuse(tensor, "unknown field: \"" + printable(field) + "\" (an entry has dtype, shape and data_offsets)");
    if (!unknown_seen_)
      log::warning(path_ + ": " + printable(tensor) + ": the header's field \"" + printable(field) + "\" is unknown and ignored");
    unknown_seen_ = true;
    scanner_.skip_value(2);
  }

  void read_dtype(TensorEntry* entry) {
    if (scanner_.peek() != '"') refuse(entry->name, "dtype: must be a string");
    const std::string name = scanner_.string("a dtype");
    const auto dtype = parse_dtype(name);
    if (!dtype) {
      static const std::vector<std::string> kKnown = {"F64", "F32", "F16", "BF16", "I64",  "I32",     "I16",     "I8",
                                                      "U64", "U32", "U16", "U8",   "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"};
      throw DataError("dtype: \"" + printable(name) + "\" cannot be read")
          .at(path_ + ": " + printable(entry->name))
          .nearest(nearest_name(name, kKnown))
          .hint("convert the tensor to one of " + enumerate(kKnown));
    }
    entry->dtype = *dtype;
  }

  void read_shape(TensorEntry* entry) {
    if (scanner_.peek() != '[') refuse(entry->name, "shape: must be a list of integers");
    scanner_.take('[');
    if (scanner_.take(']')) return;
    do {
      const uint64_t size = scanner_.unsigned_integer("shape of " + printable(entry->name));
      if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        refuse(entry->name, "overflow: dimension " + std::to_string(size) + " is beyond 2^63-1");
      if (entry->shape.size() >= limits_.dimensions)
        refuse(entry->name, "rank: more than " + std::to_string(limits_.dimensions) + " dimensions");
      entry->shape.push_back(static_cast<int64_t>(size));
    } while (scanner_.next_member(']'));
  }

  void read_offsets(TensorEntry* entry) {
    if (scanner_.peek() != '[') refuse(entry->name, "data_offsets: must be a list of two integers");
    scanner_.take('[');
    uint64_t values[2] = {0, 0};
    size_t count = 0;
    if (!scanner_.take(']')) {
      do {
        const uint64_t value = scanner_.unsigned_integer("data_offsets of " + printable(entry->name));
        if (count < 2) values[count] = value;
        ++count;
      } while (scanner_.next_member(']'));
    }
    if (count != 2) refuse(entry->name, "data_offsets: needs two numbers, has " + std::to_string(count));
    entry->begin = values[0];
    entry->end = values[1];
  }

  JsonScanner scanner_;
  bool own_;
  Limits limits_;
  const std::string& path_;
  SafetensorsHeader header_;
  std::unordered_set<std::string> names_;
  bool metadata_seen_ = false, unknown_seen_ = false;
};

// Bytes of the shape in its dtype, or nothing when that does not fit 64 bits.
bool byte_count(const TensorEntry& entry, uint64_t* bytes) {
  uint64_t count = 1;
  for (const int64_t size : entry.shape)
    if (__builtin_mul_overflow(count, static_cast<uint64_t>(size), &count)) return false;
  uint64_t bits = 0;  // the reference counts bits, so it overflows three bits earlier
  if (__builtin_mul_overflow(count, static_cast<uint64_t>(size_of(entry.dtype)) * 8, &bits)) return false;
  *bytes = bits / 8;
  return true;
}

void check_places(const SafetensorsHeader& header, uint64_t data_size, const std::string& path) {
  uint64_t end = 0;
  const TensorEntry* previous = nullptr;
  for (const auto& entry : header.entries) {
    const auto refuse = [&](const std::string& rule) { throw DataError(rule).at(path + ": " + printable(entry.name)).hint(kRefetch); };
    const std::string after =
        previous != nullptr ? "\"" + printable(previous->name) + "\" ends at " + std::to_string(end) : "the data begins at 0";
    if (entry.begin < end) refuse("overlap: the tensor begins at byte " + std::to_string(entry.begin) + " but " + after);
    if (entry.begin > end) refuse("hole: the tensor begins at byte " + std::to_string(entry.begin) + " but " + after);
    if (entry.end < entry.begin)
      refuse("data_offsets: end " + std::to_string(entry.end) + " lies before begin " + std::to_string(entry.begin));
    uint64_t bytes = 0;
    if (!byte_count(entry, &bytes)) refuse("overflow: the shape's size in bytes does not fit 64 bits");
    if (bytes != entry.end - entry.begin)
      refuse("size mismatch: shape and dtype " + std::string(to_string(entry.dtype)) + " need " + std::to_string(bytes) +
             " bytes, data_offsets give " + std::to_string(entry.end - entry.begin));
    if (entry.end > data_size)
      refuse("truncation: the tensor ends at byte " + std::to_string(entry.end) + " of the data, the file has " +
             std::to_string(data_size));
    end = entry.end;
    previous = &entry;
  }
  if (end != data_size)
    throw DataError("trailing data: " + std::to_string(data_size - end) + " bytes after the last tensor belong to none")
        .at(path)
        .hint(kRefetch);
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_size, Strictness strictness, const std::string& path) {
  if (!is_valid_utf8(json)) throw DataError("UTF-8: the header is not well-formed UTF-8").at(path).hint(kRefetch);
  SafetensorsHeader header = HeaderParser(json, strictness, path).parse();
  std::stable_sort(header.entries.begin(), header.entries.end(),
                   [](const TensorEntry& a, const TensorEntry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  check_places(header, data_size, path);
  return header;
}

}  // namespace graft::io
