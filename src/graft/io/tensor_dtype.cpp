#include "graft/io/tensor_dtype.h"

#include "graft/base/error.h"

namespace graft {

at::ScalarType dtype_of(const std::string& name) {
  if (name == "float32" || name == "fp32") return at::kFloat;
  if (name == "bfloat16" || name == "bf16") return at::kBFloat16;
  if (name == "float16" || name == "fp16") return at::kHalf;
  throw UsageError("unknown dtype \"" + name + "\"; known are float32, bfloat16 and float16");
}

const char* io::dtype_name(at::ScalarType dtype) {
  return dtype == at::kFloat ? "float32" : dtype == at::kBFloat16 ? "bfloat16" : "float16";
}

}  // namespace graft
