#include "graft/adapters/adapted_weight.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/TensorImpl.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/library.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include <mutex>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/ops/linear_operand.h"

namespace graft::detail {
namespace {

using c10::DispatchKey;
using c10::DispatchKeySet;
using ops::LinearForm;

// Both are needed: autograd keys are masked out in InferenceMode, and then the backend key's kernels answer.
constexpr DispatchKeySet kKeys({DispatchKey::PrivateUse3, DispatchKey::AutogradPrivateUse3});
constexpr auto kBackend = c10::BackendComponent::PrivateUse3Bit;

/// Module::zero_grad (and an optimizer that was given the model's parameters) asks each parameter for its gradient in order to clear it.
/// The adapted weight has none of its own: it clears its adapters'.
struct ZeroGradMeta final : torch::autograd::AutogradMeta {
  explicit ZeroGradMeta(std::shared_ptr<WeightSite> s) : site(std::move(s)) {}
  at::Tensor& mutable_grad() override {
    site->zero_grad();
    return grad_;
  }
  /// Nobody but an optimizer (or a clip) that was given the model's parameters asks a frozen weight for its gradient.
  const at::Tensor& grad() const override {
    static std::once_flag once;
    std::call_once(once, [this] {
      log::warning("an adapted weight (" + site->path +
                   ") was asked for its gradient, and has none: an optimizer must take AdapterSet::parameters(), not model->parameters()");
    });
    return grad_;
  }
  std::shared_ptr<WeightSite> site;
};

class AdaptedWeight final : public c10::TensorImpl {
 public:
  AdaptedWeight(std::shared_ptr<WeightSite> weight_site, bool is_transposed, at::Device device, at::ScalarType dtype)
      : TensorImpl(kKeys, c10::scalarTypeToTypeMeta(dtype), device), site(std::move(weight_site)), transposed(is_transposed) {
    const auto sizes = site->base->sizes();
    sizes_and_strides_.set_sizes(transposed ? std::vector<int64_t>{sizes[1], sizes[0]} : sizes.vec());
    sizes_and_strides_.stride_at_unchecked(transposed ? 1 : 0) = sizes[1];
    sizes_and_strides_.stride_at_unchecked(transposed ? 0 : 1) = 1;
    refresh_numel();
    refresh_contiguous();
    set_storage_access_should_throw();
    set_custom_sizes_strides(SizesStridesPolicy::CustomStrides);  // for is_contiguous
    // With ADInplaceOrView, view operators fail in InferenceMode ("cannot set version_counter for inference tensor").
    key_set_ = key_set_.remove(DispatchKey::ADInplaceOrView);
  }

  const char* tensorimpl_type_name() const override {
    return "graft::AdaptedWeight (an adapted model cannot be written with torch::save or read element by element: use AdapterSet::save for "
           "the "
           "adapter, or merge() or detach() first)";
  }
  /// "No", so that contiguous() is asked for and gives a real matrix: printing needs it.
  c10::SymBool sym_is_contiguous_custom(at::MemoryFormat /*format*/) const override { return c10::SymBool(false); }
  /// Module::to ends here: the converted view's place and dtype become the weight's own.
  void shallow_copy_from(const c10::intrusive_ptr<TensorImpl>& other) override {
    const auto* view = dynamic_cast<const AdaptedWeight*>(other.get());
    if (view == nullptr)
      throw UsageError("the data of an adapted weight cannot be replaced").at(site->path).hint("detach() the adapters first");
    if (view->site != site) throw UsageError("an adapted weight cannot take over another's data").at(site->path);
    site->move(view->device(), c10::typeMetaToScalarType(view->dtype()));
    data_type_ = c10::scalarTypeToTypeMeta(site->base->dtype());
    device_opt_ = site->base->device();
  }
  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(const c10::VariableVersion& /*version*/, bool /*allow*/) const override {
    return copy();
  }
  c10::intrusive_ptr<TensorImpl> shallow_copy_and_detach(c10::VariableVersion&& /*version*/, bool /*allow*/) const override {
    return copy();
  }

  c10::intrusive_ptr<TensorImpl> copy() const {
    return c10::make_intrusive<AdaptedWeight>(site, transposed, device(), c10::typeMetaToScalarType(dtype()));
  }

  /// Once nobody holds the tensor. AdaptedModel remembers parameters weakly, which keeps this object's memory: without this a site and its
  /// model would keep each other for ever when a quantized weight was attached to.
  void release_resources() override {
    TensorImpl::release_resources();
    site.reset();
  }

  std::shared_ptr<WeightSite> site;
  const bool transposed;
};

const AdaptedWeight* adapted(const at::Tensor& tensor) {
  // By backend bit: tensors born in InferenceMode lack the autograd key.
  if (!tensor.defined() || !tensor.key_set().has_backend(kBackend)) return nullptr;
  return static_cast<const AdaptedWeight*>(tensor.unsafeGetTensorImpl());
}

at::Tensor view(const AdaptedWeight& weight, bool transposed, std::optional<at::Device> device = {},
                std::optional<at::ScalarType> dtype = {}) {
  return at::detail::make_tensor<AdaptedWeight>(weight.site, transposed, device.value_or(weight.device()),
                                                dtype.value_or(c10::typeMetaToScalarType(weight.dtype())));
}

const AdaptedWeight& right_operand(const at::Tensor& x, const at::Tensor& weight) {
  const AdaptedWeight* right = adapted(weight);
  if (right == nullptr || adapted(x) != nullptr) {
    const AdaptedWeight* left = adapted(x);
    throw UsageError("an adapted weight can only be the right operand of a product (x·W or x·Wᵀ)")
        .at(left != nullptr ? left->site->path : "")
        .hint("write the product with the weight on the right, or leave this module out of the targets");
  }
  if (right->device() != right->site->base->device())
    throw UsageError("the weight is on " + right->site->base->device().str()).at(right->site->path).hint("move the module, not its weight");
  if (x.scalar_type() != c10::typeMetaToScalarType(right->dtype()))
    throw UsageError(std::string("the input is ") + c10::toString(x.scalar_type()) + ", the weight " +
                     c10::toString(c10::typeMetaToScalarType(right->dtype())))
        .at(right->site->path)
        .hint("cast the input or the module, or use autocast");
  return *right;
}

// --- kernels ---

at::Tensor turned(const at::Tensor& weight) {
  const AdaptedWeight& w = *adapted(weight);
  return view(w, !w.transposed);
}

at::Tensor swapped(const at::Tensor& weight, int64_t first, int64_t second) {
  const AdaptedWeight& w = *adapted(weight);
  return view(w, c10::maybe_wrap_dim(first, 2) == c10::maybe_wrap_dim(second, 2) ? w.transposed : !w.transposed);
}

at::Tensor permute(const at::Tensor& weight, at::IntArrayRef order) {
  TORCH_CHECK(order.size() == 2, "permute: an adapted weight has two dimensions");
  return swapped(weight, 0, order[0] < 0 ? order[0] + 2 : order[0]);
}

at::Tensor product(const at::Tensor& x, const at::Tensor& weight) {
  const AdaptedWeight& w = right_operand(x, weight);
  return w.transposed ? w.site->linear(x, {}, LinearForm::kMatmul) : w.site->times_weight(x);
}

at::Tensor addmm(const at::Tensor& bias, const at::Tensor& x, const at::Tensor& weight, const at::Scalar& beta, const at::Scalar& alpha) {
  const AdaptedWeight& w = right_operand(x, weight);
  if (w.transposed && beta.equal(1) && alpha.equal(1)) return w.site->linear(x, bias, LinearForm::kAddmm);
  return product(x, weight) * alpha + bias * beta;
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  const AdaptedWeight& w = right_operand(x, weight);
  const at::Tensor given = bias.value_or(at::Tensor());
  if (!w.transposed) return w.site->linear(x, given, LinearForm::kLinear);
  const at::Tensor y = w.site->times_weight(x);
  return given.defined() ? y + given : y;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): the operator's signature
at::Tensor embedding(const at::Tensor& weight, const at::Tensor& ids, c10::SymInt padding_idx, bool scale_grad_by_freq, bool /*sparse*/) {
  const AdaptedWeight* w = adapted(weight);
  TORCH_CHECK(w != nullptr && !w->transposed, "embedding: the table must be an untransposed adapted weight");
  return w->site->embedding(ids, padding_idx.guard_int(__FILE__, __LINE__), scale_grad_by_freq);
}

at::Tensor same(const at::Tensor& weight) {
  const AdaptedWeight& w = *adapted(weight);
  return view(w, w.transposed);
}

at::Tensor converted(const at::Tensor& weight, std::optional<at::Device> device, std::optional<at::ScalarType> dtype) {
  const AdaptedWeight& w = *adapted(weight);
  if (dtype && !at::isFloatingType(*dtype))
    throw UsageError(std::string("an adapted weight cannot become ") + c10::toString(*dtype)).at(w.site->path);
  return view(w, w.transposed, device, dtype);
}

at::Tensor to_dtype(const at::Tensor& weight, at::ScalarType dtype, bool, bool, std::optional<at::MemoryFormat>) {
  return converted(weight, {}, dtype);
}
at::Tensor to_dtype_layout(const at::Tensor& weight, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                           std::optional<at::Device> device, std::optional<bool>, bool, bool, std::optional<at::MemoryFormat>) {
  return converted(weight, device, dtype);
}
at::Tensor to_device(const at::Tensor& weight, at::Device device, at::ScalarType dtype, bool, bool, std::optional<at::MemoryFormat>) {
  return converted(weight, device, dtype);
}
at::Tensor to_other(const at::Tensor& tensor, const at::Tensor& other, bool, bool, std::optional<at::MemoryFormat>) {
  if (adapted(tensor) == nullptr) return tensor.to(other.device(), other.scalar_type());  // x.to(weight)
  return converted(tensor, other.device(), other.scalar_type());
}
at::Tensor to_copy(const at::Tensor& weight, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                   std::optional<at::Device> device, std::optional<bool>, bool, std::optional<at::MemoryFormat>) {
  return converted(weight, device, dtype);
}

/// W + Σ s·B·A as a plain tensor through which gradients reach A and B.
at::Tensor contiguous(const at::Tensor& weight, at::MemoryFormat /*format*/) {
  const AdaptedWeight& w = *adapted(weight);
  const at::Tensor matrix = w.site->matrix().to(w.device(), c10::typeMetaToScalarType(w.dtype()));
  return (w.transposed ? matrix.t() : matrix).contiguous();
}

at::Tensor clone(const at::Tensor& weight, std::optional<at::MemoryFormat>) {
  const AdaptedWeight* w = adapted(weight);
  throw UsageError("an adapted module cannot be cloned: the copy would own a plain weight and lose the adapter")
      .at(w != nullptr ? w->site->path : "")
      .hint("build a second model and graft::load_adapter() into it, or detach() (or merge()) first");
}

void refuse(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  std::string where;
  for (const auto& value : torch::jit::last(*stack, op.schema().arguments().size())) {
    const AdaptedWeight* w = value.isTensor() ? adapted(value.toTensor()) : nullptr;
    if (w != nullptr) where = w->site->path;
  }
  throw UsageError("operator " + op.schema().name() + " is not defined on an adapted weight")
      .at(where)
      .hint(
          "use the weight in matmul, linear or embedding only; graft::dense_weight(w) gives the matrix, merge() or detach() a plain model");
}

void register_kernels(torch::Library& library) {
  library.impl("t", turned);
  library.impl("numpy_T", turned);
  library.impl("mT", turned);
  library.impl("transpose.int", swapped);
  library.impl("permute", permute);
  library.impl("matmul", product);
  library.impl("mm", product);
  library.impl("addmm", addmm);
  library.impl("linear", linear);
  library.impl("embedding", embedding);
  library.impl("detach", same);
  library.impl("alias", same);
  library.impl("to.dtype", to_dtype);
  library.impl("to.dtype_layout", to_dtype_layout);
  library.impl("to.device", to_device);
  library.impl("to.other", to_other);
  library.impl("_to_copy", to_copy);
  library.impl("contiguous", contiguous);
  library.impl("clone", clone);
  // Structured in-place operators have a generic implementation that would win over the fallback below and fail without a clear text.
  for (const char* name : {"add_.Tensor", "sub_.Tensor", "mul_.Tensor", "div_.Tensor"})
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&refuse>());
}

// What TORCH_LIBRARY_IMPL expands to, without the macro: the handles live as long as the library is loaded.
const torch::Library kBackendKernels = [] {
  torch::Library library(torch::Library::IMPL, "aten", DispatchKey::PrivateUse3, __FILE__, __LINE__);
  register_kernels(library);
  return library;
}();
const torch::Library kAutogradKernels = [] {
  torch::Library library(torch::Library::IMPL, "aten", DispatchKey::AutogradPrivateUse3, __FILE__, __LINE__);
  register_kernels(library);
  return library;
}();
const torch::Library kRefusal = [] {
  torch::Library library(torch::Library::IMPL, "_", DispatchKey::PrivateUse3, __FILE__, __LINE__);
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&refuse>());
  return library;
}();

/// Fused operators look through the weight instead of going through dispatch.
std::optional<ops::LinearOperand> read_operand(const at::Tensor& weight, const at::Tensor& x, bool* is_adapted) {
  const AdaptedWeight* w = adapted(weight);
  *is_adapted = w != nullptr;
  if (w == nullptr || w->transposed || x.scalar_type() != c10::typeMetaToScalarType(w->dtype())) return std::nullopt;
  return w->site->operand();
}
const bool kReaderRegistered = (ops::register_operand_reader(read_operand), true);

/// parameters_ is protected; a derived class may name it.
struct Registration : torch::nn::Module {
  static auto parameters() { return &Registration::parameters_; }
};

}  // namespace

at::Tensor make_adapted_weight(std::shared_ptr<WeightSite> site) {
  const auto& base = *site->base;
  at::Tensor weight = at::detail::make_tensor<AdaptedWeight>(site, /*is_transposed=*/false, base.device(), base.dtype());
  weight.unsafeGetTensorImpl()->set_autograd_meta(std::make_unique<ZeroGradMeta>(std::move(site)));
  return weight;
}

std::shared_ptr<WeightSite> site_of(const at::Tensor& weight) {
  const AdaptedWeight* w = adapted(weight);
  return w == nullptr ? nullptr : w->site;
}

void replace_weight(torch::nn::Module& module, const at::Tensor& member, const at::Tensor& registered) {
  if (auto* linear_module = module.as<torch::nn::LinearImpl>())
    linear_module->weight = member;
  else if (auto* embedding_module = module.as<torch::nn::EmbeddingImpl>())
    embedding_module->weight = member;
  else
    throw InternalError("replace_weight: not a Linear or Embedding").at(module.name());
  (module.*Registration::parameters())["weight"] = registered;
}

at::Tensor weight_of(torch::nn::Module& module) {
  if (auto* linear_module = module.as<torch::nn::LinearImpl>()) return linear_module->weight;
  if (auto* embedding_module = module.as<torch::nn::EmbeddingImpl>()) return embedding_module->weight;
  return {};
}

at::Tensor registered_weight(torch::nn::Module& module) { return (module.*Registration::parameters())["weight"]; }

}  // namespace graft::detail
