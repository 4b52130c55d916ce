#include "graft/adapters/portable.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>

#include "graft/base/error.h"

namespace graft::detail {
namespace {

bool is_a(const std::string& key) {
  return key.find(".lora_A.") != std::string::npos || key.find(".lora_embedding_A") != std::string::npos;
}

/// The dimension that holds the rank.
int64_t rank_dimension(const std::string& key) { return is_a(key) ? 0 : 1; }

/// −B₀, or A₀: what stands in the second half.
at::Tensor signed_start(const std::string& key, const at::Tensor& start) { return is_a(key) ? start : start.neg(); }

}  // namespace

io::AdapterConfig portable_config(const Adapter& adapter) {
  io::AdapterConfig config = adapter.config;
  if (std::none_of(adapter.tensors.begin(), adapter.tensors.end(), [](const auto& tensor) { return tensor.start.defined(); }))
    return config;
  const double factor = config.use_rslora ? std::sqrt(2.0) : 2.0;
  config.r *= 2;
  config.lora_alpha *= factor;
  for (auto& [pattern, rank] : config.rank_pattern) rank *= 2;
  for (auto& [pattern, alpha] : config.alpha_pattern) alpha *= factor;
  return config;
}

std::vector<int64_t> portable_shape(const std::string& key, at::IntArrayRef shape) {
  std::vector<int64_t> out = shape.vec();
  out[static_cast<size_t>(rank_dimension(key))] *= 2;
  return out;
}

at::Tensor start_in_file(const std::string& key, const at::Tensor& in_file) {
  const int64_t dimension = rank_dimension(key), rank = in_file.size(dimension) / 2;
  return signed_start(key, in_file.narrow(dimension, rank, rank));
}

std::vector<int64_t> file_shape(const TrainedTensor& tensor) {
  const at::Tensor value = tensor.value();
  return tensor.start.defined() ? portable_shape(tensor.key, value.sizes()) : value.sizes().vec();
}

at::Tensor file_value(const TrainedTensor& tensor) {
  const at::Tensor value = tensor.value();
  if (!tensor.start.defined()) return value;
  return at::cat({value, signed_start(tensor.key, tensor.start).to(value.device())}, rank_dimension(tensor.key));
}

void assign_from_file(const TrainedTensor& tensor, const at::Tensor& in_file) {
  if (!tensor.start.defined()) return tensor.assign(in_file);
  const at::Tensor start = start_in_file(tensor.key, in_file);
  if (!at::equal(start.to(tensor.start.scalar_type()), tensor.start.cpu()))
    throw DataError("the saved adapter began from another start, so its base is not this model's")
        .at(tensor.key)
        .hint("attach with AdapterStart::saved set to that directory, or use load_adapter() on the original base");
  const int64_t dimension = rank_dimension(tensor.key);
  tensor.assign(in_file.narrow(dimension, 0, in_file.size(dimension) / 2));
}

}  // namespace graft::detail
