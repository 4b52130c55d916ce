#pragma once

#include <c10/core/ScalarType.h>

#include <string>

namespace graft {

/// "float32", "bfloat16", "float16", or "fp32", "bf16", "fp16" → the scalar type. UsageError for anything else.
at::ScalarType dtype_of(const std::string& name);

namespace io {

/// The long name again, as config.json and quantization states have it.
const char* dtype_name(at::ScalarType dtype);

}  // namespace io
}  // namespace graft
