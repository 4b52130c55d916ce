#include "graft/io/tensor_file.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <array>
#include <cstring>

#include "graft/base/error.h"

namespace graft::io {
namespace {

// In the order of DType.
constexpr std::array<at::ScalarType, 16> kScalarTypes = {
    at::kDouble, at::kFloat,  at::kHalf,   at::kBFloat16, at::kLong, at::kInt,           at::kShort,       at::kChar,
    at::kUInt64, at::kUInt32, at::kUInt16, at::kByte,     at::kBool, at::kFloat8_e4m3fn, at::kFloat8_e5m2, at::kFloat8_e8m0fnu};

void check_booleans(std::string_view bytes, const SafetensorsFile& file, const TensorEntry& entry) {
  for (const char byte : bytes)
    if (byte != 0 && byte != 1)
      throw DataError("BOOL tensor holds the byte " + std::to_string(static_cast<unsigned char>(byte)) + ", only 0 and 1 are booleans")
          .at(file.path().string() + ": " + entry.name);
}

at::Tensor copy_of(std::string_view bytes, const TensorEntry& entry) {
  at::Tensor tensor = at::empty(entry.shape, to_scalar_type(entry.dtype));
  if (!bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

}  // namespace

at::ScalarType to_scalar_type(DType dtype) { return kScalarTypes[static_cast<size_t>(dtype)]; }

DType to_dtype(at::ScalarType type) {
  for (size_t i = 0; i < kScalarTypes.size(); ++i)
    if (kScalarTypes[i] == type) return static_cast<DType>(i);
  throw DataError(std::string("safetensors has no dtype for ") + at::toString(type)).hint("convert the tensor first");
}

at::Tensor view(const SafetensorsFile& file, const TensorEntry& entry) {
  const std::string_view bytes = file.bytes(entry);
  if (entry.dtype == DType::kBool) check_booleans(bytes, file, entry);
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % static_cast<uintptr_t>(size_of(entry.dtype)) == 0;
  if (bytes.empty() || !aligned) return copy_of(bytes, entry);
  return at::from_blob(
      const_cast<char*>(bytes.data()), entry.shape, [memory = file.mapping()](void*) mutable { memory.reset(); },
      at::TensorOptions(to_scalar_type(entry.dtype)));
}

void release_pages(const SafetensorsFile& file, const TensorEntry& entry) { file.release(entry); }

void save_tensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<TensorEntry> entries;
  std::map<std::string_view, const at::Tensor*> by_name;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back({name, to_dtype(tensor.scalar_type()), tensor.sizes().vec(), 0, 0});
    by_name.emplace(name, &tensor);
  }
  SafetensorsWriter writer(path, std::move(entries), metadata);
  for (const auto& entry : writer.order()) {
    const at::Tensor copy = by_name.at(entry.name)->detach().to(at::kCPU).contiguous();
    writer.append({static_cast<const char*>(copy.const_data_ptr()), static_cast<size_t>(entry.end - entry.begin)});
  }
  writer.finish();
}

std::map<std::string, at::Tensor> load_tensors(const std::filesystem::path& path, Strictness strictness) {
  const SafetensorsFile file = SafetensorsFile::open(path, strictness, SafetensorsFile::Access::kInMemory);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& entry : file.entries()) {
    const std::string_view bytes = file.bytes(entry);
    if (entry.dtype == DType::kBool) check_booleans(bytes, file, entry);
    tensors.emplace(entry.name, copy_of(bytes, entry));
  }
  return tensors;
}

}  // namespace graft::io
