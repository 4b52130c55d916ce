#include "graft/adapters/four_bit_files.h"

#include <ATen/Functions.h>

#include <array>
#include <cmath>
#include <cstring>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/io/config_reader.h"
#include "graft/io/tensor_dtype.h"
#include "graft/io/tensor_read.h"

namespace graft::detail {
namespace {

using quant::FourBitTensor;
using quant::FourBitType;

constexpr int64_t kMapSize = 16, kNestedMapSize = 256;
constexpr size_t kStateLimit = 4096;
constexpr std::array<FourBitType, 2> kTypes = {FourBitType::kNf4, FourBitType::kFp4};

std::string state_name(const std::string& path, FourBitType type) {
  return path + ".weight.quant_state.bitsandbytes__" + quant::to_string(type);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const int64_t size : shape) sizes.push_back(std::to_string(size));
  return "[" + join(sizes, ", ") + "]";
}

at::ScalarType scalar_type(const std::string& name, const io::ConfigReader& state) {
  if (name != "float32" && name != "bfloat16" && name != "float16") state.fail("dtype", "float32, bfloat16 or float16");
  return dtype_of(name);
}

/// Reads the parts of one weight; every problem names the tensor.
class Reader {
 public:
  Reader(const io::ModelDirectory& directory, std::string path, at::Device device = at::kCPU)
      : directory_(directory), path_(std::move(path)), device_(device) {}

  FourBitTensor read(const std::optional<std::vector<int64_t>>& shape, bool values) {
    read_state();
    if (shape && tensor_.shape != *shape)
      throw DataError("the quantized weight is " + shape_text(tensor_.shape) + " but config.json implies " + shape_text(*shape))
          .at(place(".quant_state"));
    check_codes();
    check("quant_map", io::DType::kF32, kMapSize);
    check("absmax", nested_ ? io::DType::kU8 : io::DType::kF32, tensor_.blocks());
    const int64_t groups = nested_ ? (tensor_.blocks() + tensor_.nested_block - 1) / tensor_.nested_block : 0;
    for (const auto& [name, count] : {std::pair("nested_absmax", groups), std::pair("nested_quant_map", kNestedMapSize)})
      nested_ ? check(name, io::DType::kF32, count) : refuse_left_over(name);
    if (values) read_values();
    return std::move(tensor_);
  }

 private:
  std::string name(const std::string& part) const { return path_ + ".weight." + part; }
  std::string place(const std::string& ending) const { return directory_.path().string() + ": " + path_ + ".weight" + ending; }

  void read_state() {
    std::optional<io::ModelDirectory::Tensor> found;
    for (const auto type : kTypes) {
      const auto candidate = directory_.find(state_name(path_, type));
      if (candidate && found) throw DataError("the weight has two quantization states, nf4 and fp4").at(place(".quant_state"));
      if (candidate) found = candidate, tensor_.type = type;
    }
    if (!found) throw DataError("the quantized weight has no quantization state").at(place(".quant_state"));
    if (found->entry->dtype != io::DType::kU8 || found->bytes().size() > kStateLimit)
      throw DataError("the quantization state is not a short text of U8").at(place(".quant_state"));
    const std::string origin = place(".quant_state");
    parse(io::ConfigReader(parse_json(found->bytes(), origin), origin));
  }

  void parse(const io::ConfigReader& state) {
    if (const auto type = state.string("quant_type"); type != quant::to_string(tensor_.type))
      state.fail("quant_type", quant::to_string(tensor_.type));
    tensor_.block = state.integer("blocksize", 32, 4096);
    if ((tensor_.block & (tensor_.block - 1)) != 0) state.fail("blocksize", "a power of two from 32 to 4096");
    tensor_.dtype = scalar_type(state.string("dtype"), state);
    tensor_.shape = state.integers("shape");
    constexpr int64_t kMost = int64_t{1} << 31;
    if (tensor_.shape.size() != 2 || tensor_.shape[0] < 1 || tensor_.shape[1] < 1 || tensor_.shape[0] > kMost || tensor_.shape[1] > kMost)
      state.fail("shape", "[out, in]");
    nested_ = state.has("nested_offset");
    if (nested_) {
      tensor_.nested_block = state.integer("nested_blocksize", 1, int64_t{1} << 20);
      tensor_.offset = static_cast<float>(state.number("nested_offset"));
      if (state.string_or("nested_dtype", "float32") != "float32") state.fail("nested_dtype", "float32");
      if (!std::isfinite(tensor_.offset)) state.fail("nested_offset", "a finite number");
    }
    if (const auto unread = state.unread(); !unread.empty())
      throw DataError("unknown key \"" + unread.front() + "\" in the quantization state").at(place(".quant_state"));
  }

  void check_codes() const {
    const auto& entry = *directory_.at(path_ + ".weight").entry;
    const bool stored = entry.dtype == io::DType::kU8 || entry.dtype == io::DType::kF32 || entry.dtype == io::DType::kF16 ||
                        entry.dtype == io::DType::kBF16;
    const auto bytes = static_cast<int64_t>(entry.end - entry.begin), needed = (tensor_.numel() + 1) / 2;
    if (!stored || bytes != needed)
      throw DataError("the codes take " + std::to_string(bytes) + " bytes of " + io::to_string(entry.dtype) + "; a quantized " +
                      shape_text(tensor_.shape) + " needs " + std::to_string(needed) + " of U8 (or as F32, F16 or BF16)")
          .at(place(""));
  }

  void check(const char* part, io::DType dtype, int64_t count) const {
    const auto found = directory_.find(name(part));
    if (!found)
      throw DataError(std::string("the quantized weight has no ") + part)
          .at(place(std::string(".") + part))
          .hint("the directory is incomplete; fetch or quantize it again");
    if (found->entry->dtype != dtype || found->entry->numel() != count)
      throw DataError(std::string(part) + " is " + io::to_string(found->entry->dtype) + " " + shape_text(found->entry->shape) +
                      "; this weight needs " + io::to_string(dtype) + " [" + std::to_string(count) + "]")
          .at(place(std::string(".") + part));
  }

  void refuse_left_over(const char* part) const {
    if (directory_.find(name(part)))
      throw DataError(std::string("there is ") + part + ", but the quantization state has no nested_offset")
          .at(place(std::string(".") + part));
  }

  at::Tensor bytes(const std::string& full_name, at::Device device) const {
    const auto found = directory_.at(full_name);
    return io::read_bytes(*found.file, *found.entry, device);
  }

  at::Tensor floats(const char* part, at::Device device) const {
    const at::Tensor values = bytes(name(part), device).view(at::kFloat);
    if (!at::isfinite(values).all().item<bool>())
      throw DataError(std::string(part) + " holds NaN or infinity").at(place(std::string(".") + part));
    return values;
  }

  /// The large parts go straight to the device; maps and the like are looked at first.
  void read_values() {
    tensor_.codes = bytes(path_ + ".weight", device_);
    tensor_.absmax = nested_ ? bytes(name("absmax"), device_) : floats("absmax", device_);
    tensor_.code_map = floats("quant_map", at::kCPU);
    if (nested_) {
      tensor_.nested_absmax = floats("nested_absmax", at::kCPU);
      tensor_.nested_map = floats("nested_quant_map", at::kCPU);
    }
    tensor_.move(device_);
  }

  const io::ModelDirectory& directory_;
  std::string path_;
  at::Device device_;
  FourBitTensor tensor_;
  bool nested_ = false;
};

/// As Python's json.dumps writes it.
std::string state_text(const FourBitTensor& tensor) {
  std::string text = std::string("{\"quant_type\": \"") + quant::to_string(tensor.type) +
                     "\", \"blocksize\": " + std::to_string(tensor.block) + ", \"dtype\": \"" + io::dtype_name(tensor.dtype) +
                     "\", \"shape\": " + shape_text(tensor.shape);
  if (tensor.nested())
    text += ", \"nested_blocksize\": " + std::to_string(tensor.nested_block) +
            ", \"nested_dtype\": \"float32\", \"nested_offset\": " + dump_json(Json(static_cast<double>(tensor.offset)));
  return text + "}";
}

}  // namespace

bool is_four_bit(const io::ModelDirectory& directory, const std::string& path) {
  for (const auto type : kTypes)
    if (directory.find(state_name(path, type))) return true;
  return false;
}

std::vector<std::string> four_bit_companions(const std::string& path) {
  std::vector<std::string> names;
  for (const char* part : {"absmax", "quant_map", "nested_absmax", "nested_quant_map"}) names.push_back(path + ".weight." + part);
  for (const auto type : kTypes) names.push_back(state_name(path, type));
  return names;
}

quant::FourBitTensor four_bit_state(const io::ModelDirectory& directory, const std::string& path) {
  return Reader(directory, path).read({}, /*values=*/false);
}

void check_four_bit(const io::ModelDirectory& directory, const std::string& path, const std::optional<std::vector<int64_t>>& shape) {
  Reader(directory, path).read(shape, /*values=*/false);
}

quant::FourBitTensor read_four_bit(const io::ModelDirectory& directory, const std::string& path,
                                   const std::optional<std::vector<int64_t>>& shape, at::Device device) {
  return Reader(directory, path, device).read(shape, /*values=*/true);
}

std::vector<std::pair<std::string, at::Tensor>> four_bit_parts(const quant::FourBitTensor& tensor, const std::string& path) {
  const std::string weight = path + ".weight", state = state_text(tensor);
  at::Tensor text = at::empty({static_cast<int64_t>(state.size())}, at::kByte);
  std::memcpy(text.mutable_data_ptr(), state.data(), state.size());
  std::vector<std::pair<std::string, at::Tensor>> parts = {{weight, tensor.codes.view({-1, 1})},
                                                           {weight + ".absmax", tensor.absmax},
                                                           {weight + ".quant_map", tensor.code_map},
                                                           {state_name(path, tensor.type), text}};
  if (tensor.nested()) {
    parts.emplace_back(weight + ".nested_absmax", tensor.nested_absmax);
    parts.emplace_back(weight + ".nested_quant_map", tensor.nested_map);
  }
  return parts;
}

std::vector<std::pair<std::string, at::Tensor>> four_bit_files(const quant::FourBitTensor& tensor, const std::string& path) {
  auto parts = four_bit_parts(tensor, path);
  for (auto& [name, value] : parts) value = value.cpu();
  return parts;
}

}  // namespace graft::detail
