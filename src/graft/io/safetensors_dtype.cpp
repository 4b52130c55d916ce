#include <array>

#include "graft/io/safetensors.h"

namespace graft::io {
namespace {

struct DTypeInfo {
  const char* name;
  int64_t size;
};

// In the order of the enum.
constexpr std::array<DTypeInfo, 16> kDTypes = {{{"F64", 8},
                                                {"F32", 4},
                                                {"F16", 2},
                                                {"BF16", 2},
                                                {"I64", 8},
                                                {"I32", 4},
                                                {"I16", 2},
                                                {"I8", 1},
                                                {"U64", 8},
                                                {"U32", 4},
                                                {"U16", 2},
                                                {"U8", 1},
                                                {"BOOL", 1},
                                                {"F8_E4M3", 1},
                                                {"F8_E5M2", 1},
                                                {"F8_E8M0", 1}}};

}  // namespace

const char* to_string(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

int64_t size_of(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].size; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (size_t i = 0; i < kDTypes.size(); ++i)
    if (name == kDTypes[i].name) return static_cast<DType>(i);
  return std::nullopt;
}

int64_t TensorEntry::numel() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

}  // namespace graft::io
