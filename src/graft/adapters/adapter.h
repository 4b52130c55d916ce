#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graft/adapters/weight_site.h"
#include "graft/io/adapter_config.h"

namespace graft::detail {

/// A parameter or buffer of the model that some adapter replaces by its own copy while it is active (biases, modules_to_save). The module's
/// own tensor keeps its identity and is pointed at other data, so that any class of module sees it; the base's data waits here.
class SwappedParameter {
 public:
  SwappedParameter(std::string path, at::Tensor parameter, bool is_buffer);

  /// The module's own tensor: what an optimizer takes.
  const at::Tensor& parameter() const { return parameter_; }
  const std::string& path() const { return path_; }
  bool is_buffer() const { return is_buffer_; }
  /// The base's values, on the device and in the dtype it had when it was last visible.
  at::Tensor base() const { return current_ == nullptr ? parameter_.detach() : base_; }
  void set_base(const at::Tensor& data);

  struct Copy {
    at::Tensor data;      ///< shares its memory with the parameter while shown
    at::Tensor gradient;  ///< kept while another copy is shown
    bool trainable = true;
  };
  /// Shows this copy; null shows the base. `weight_type`: dtype of the frozen weight in the same module, where there is one. A bias beside
  /// it may be a float32 master, which does not show what Module::to made of the model.
  void show(const std::shared_ptr<Copy>& copy, std::optional<at::ScalarType> weight_type = {});
  const std::shared_ptr<Copy>& current() const { return current_; }

 private:
  void follow_casts(std::optional<at::ScalarType> weight_type);
  void cast(at::ScalarType type);
  std::string path_;
  at::Tensor parameter_, base_;
  bool is_buffer_;
  std::shared_ptr<Copy> current_;
  std::vector<std::weak_ptr<Copy>> copies_;  // all that were ever shown
  std::optional<at::ScalarType> weight_type_;
};

/// One tensor of an adapter: a tensor of its own (A, B, the full copy of a Linear's weight), or a copy shown through a SwappedParameter.
struct TrainedTensor {
  std::string key;  ///< in PEFT's file
  at::Tensor own;
  std::shared_ptr<SwappedParameter> swapped;
  std::shared_ptr<SwappedParameter::Copy> copy;
  at::Tensor start = {};  ///< A₀ or B₀, when the adapter's start was taken out of the base (weight_start.h)

  /// What the optimizer takes.
  at::Tensor leaf() const { return swapped == nullptr ? own : swapped->parameter(); }
  /// The values now, whether shown or not; without gradient history.
  at::Tensor value() const;
  /// Overwrites the values, cast and moved to where they are.
  void assign(const at::Tensor& values) const;
  bool is_trained() const { return swapped == nullptr || !swapped->is_buffer(); }
};

/// A named adapter: its configuration and everything it trained. Lives on when the model does not.
struct Adapter {
  std::string name;
  io::AdapterConfig config;  ///< as it is trained; what files say: portable_config
  bool trainable = true;
  std::vector<TrainedTensor> tensors;  ///< factors in the model's order, then copies
  size_t factor_count = 0;             ///< how many of them are A or B
  size_t module_count = 0;
  bool removed = false;
};

}  // namespace graft::detail
