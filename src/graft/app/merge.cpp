#include "graft/app/merge.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <vector>

#include "graft/adapters/four_bit_files.h"
#include "graft/app/adapter_delta.h"
#include "graft/app/cast_weight.h"
#include "graft/app/model_files.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/io/atomic_directory.h"
#include "graft/io/config_reader.h"
#include "graft/io/model_directory.h"
#include "graft/io/quantization_config.h"
#include "graft/io/tensor_file.h"
#include "graft/models/family.h"
#include "graft/text/chat_template.h"

namespace graft::app {
namespace {

constexpr const char* kHead = "lm_head.weight";
constexpr const char* kEmbedding = "model.embed_tokens.weight";

bool is_floating(io::DType dtype) {
  return dtype == io::DType::kF32 || dtype == io::DType::kF16 || dtype == io::DType::kBF16 || dtype == io::DType::kF64;
}

std::optional<io::DType> target_dtype(const std::string& name) {
  if (name == "fp32") return io::DType::kF32;
  if (name == "bf16") return io::DType::kBF16;
  if (name == "fp16") return io::DType::kF16;
  return std::nullopt;
}

/// "a.b" of "a.b.weight"; "" for other names.
std::string module_of(const std::string& name) {
  constexpr std::string_view kEnd = ".weight";
  return ends_with(name, kEnd) ? name.substr(0, name.size() - kEnd.size()) : "";
}

bool is_known_family(const std::string& model_type) {
  const auto& all = models::families();
  return std::any_of(all.begin(), all.end(), [&](const models::Family& family) {
    return std::find(family.model_types.begin(), family.model_types.end(), model_type) != family.model_types.end();
  });
}

class Merger {
 public:
  Merger(const fs::path& model, const fs::path& adapter, const std::string& dtype)
      : model_(model),
        adapter_(adapter),
        config_(parse_json(model_.config_text(), (model / "config.json").string())),
        dtype_name_(dtype),
        dtype_(target_dtype(dtype)) {
    const io::ConfigReader config(config_, (model / "config.json").string());
    const bool declared_tied = config.boolean_or("tie_word_embeddings", false);
    own_head_ = declared_tied && models::has_head_of_its_own(model_);
    tied_ = declared_tied && !own_head_ && model_.find(kEmbedding).has_value();
    model_type_ = config.string_or("model_type", "");
    find_quantized();
    delta_.emplace(adapter, base_tensors());
    refuse_hidden_tie(config);
    report_.untied = tied_ && (changes(kHead) || changes(kEmbedding));
  }

  MergeReport write(const fs::path& output) {
    if (fs::exists(output) && !fs::is_empty(output))
      throw InUseError("the output directory holds files already").at(fs::absolute(output).string()).hint("name a new directory");
    io::AtomicDirectory directory(output);
    copy_small_files(directory.path());
    write_weights(directory.path() / "model.safetensors");
    directory.commit();
    report_.loss = update_squares_ > 0 ? std::sqrt(error_squares_ / update_squares_) : 0;
    return report_;
  }

 private:
  // A base in 4 bits is merged into the weights its codes stand for: those the adapter was trained on.
  void find_quantized() {
    const bool quantized = io::read_quantization_config(model_).has_value();
    std::set<std::string> companions;
    for (const auto& name : model_.tensor_names()) {
      const std::string module = module_of(name);
      if (!quantized || module.empty() || !detail::is_four_bit(model_, module)) continue;
      detail::check_four_bit(model_, module, {});
      quantized_.insert(name);
      for (auto& companion : detail::four_bit_companions(module)) companions.insert(std::move(companion));
    }
    for (const auto& name : model_.tensor_names())
      if (companions.count(name) == 0) names_.push_back(name);
    config_.erase("quantization_config");
    report_.dequantized_modules = static_cast<int64_t>(quantized_.size());
  }

  /// In a family that graft does not know, an embedding without a head beside it is most likely the head as well: many such families tie
  /// them unless config.json says otherwise. Merging into one would change the other.
  void refuse_hidden_tie(const io::ConfigReader& config) const {
    if (tied_ || is_known_family(model_type_)) return;
    const bool declared = config.has("tie_word_embeddings");
    if (declared && !config.boolean("tie_word_embeddings")) return;
    const int64_t vocabulary = config.integer_or("vocab_size", 0, 0, INT32_MAX);
    std::vector<std::string> tables, changed;
    for (const auto& name : names_) {
      const auto shape = entry_of(name).shape;
      if (shape.size() != 2 || vocabulary == 0 || shape[0] != vocabulary) continue;
      tables.push_back(name);
      if (changes(name)) changed.push_back(name);
    }
    if (changed.empty() || (!declared && tables.size() > 1)) return;
    throw DataError("the adapter changes " + enumerate(changed) + ", which this family (" + model_type_ +
                    ") may tie to its output head (lm_head): merging would change the head too")
        .at((model_.path() / "config.json").string())
        .hint("where the head has a weight of its own, say so there: \"tie_word_embeddings\": false; else use the adapter unmerged");
  }

  bool is_quantized(const std::string& name) const { return quantized_.count(name) > 0; }

  /// Shape and dtype of a tensor, 4-bit ones as their codes decode.
  io::TensorEntry entry_of(const std::string& name) const {
    io::TensorEntry entry = *model_.at(name).entry;
    if (!is_quantized(name)) return entry;
    const auto state = detail::four_bit_state(model_, module_of(name));
    entry.shape = state.shape;
    entry.dtype = io::to_dtype(state.dtype);
    return entry;
  }

  at::Tensor value_of(const std::string& name) const {
    const auto source = model_.at(name);
    if (!is_quantized(name)) return io::view(*source.file, *source.entry);
    const auto stored = detail::read_four_bit(model_, module_of(name));
    return quant::decode(stored, stored.dtype);
  }

  BaseTensors base_tensors() const {
    BaseTensors base{model_type_, is_known_family(model_type_), {}};
    for (const auto& name : names_) base.shapes[name] = entry_of(name).shape;
    if (tied_) base.shapes[kHead] = entry_of(kEmbedding).shape;
    return base;
  }

  bool changes(const std::string& name) const { return delta_->updated().count(name) > 0 || delta_->replaced().count(name) > 0; }

  // Where a tensor's bytes come from: a tied head has none of its own.
  std::string source_of(const std::string& name) const { return name == kHead && tied_ ? kEmbedding : name; }

  std::vector<io::TensorEntry> declared() const {
    std::vector<io::TensorEntry> entries;
    const auto add = [&](const std::string& name) {
      io::TensorEntry entry = entry_of(source_of(name));
      entry.name = name;
      if (dtype_ && is_floating(entry.dtype)) entry.dtype = *dtype_;
      entries.push_back(std::move(entry));
    };
    for (const auto& name : names_)
      if (!(tied_ && name == kHead)) add(name);
    if (report_.untied) add(kHead);
    return entries;
  }

  void write_weights(const fs::path& path) {
    io::SafetensorsWriter writer(path, declared());
    for (const auto& entry : writer.order()) {
      const auto source = model_.at(source_of(entry.name));
      const bool verbatim = !changes(entry.name) && !is_quantized(entry.name) && entry.dtype == source.entry->dtype;
      if (verbatim) {
        writer.append(source.bytes());
      } else {
        const at::Tensor value = merged(entry);
        writer.append({static_cast<const char*>(value.const_data_ptr()), static_cast<size_t>(value.nbytes())});
      }
      io::release_pages(*source.file, *source.entry);
    }
    writer.finish();
  }

  at::Tensor merged(const io::TensorEntry& entry) {
    const auto dtype = io::to_scalar_type(entry.dtype);
    const auto replaced = delta_->replaced().find(entry.name);
    const bool is_replaced = replaced != delta_->replaced().end();
    if (is_replaced) ++report_.replaced_tensors;
    const at::Tensor base = is_replaced ? replaced->second : value_of(source_of(entry.name));
    if (delta_->updated().count(entry.name) == 0) return cast_weight(base, dtype, entry.name);
    const at::Tensor update = delta_->update(entry.name);
    const at::Tensor sum = base.to(at::kFloat) + update;
    at::Tensor rounded = sum.to(dtype).contiguous();
    if (!at::isfinite(rounded).all().item<bool>())
      throw DataError("the merged weight is not finite").at(entry.name).hint("merge with --dtype float32 or bfloat16");
    measure(entry.name, sum, rounded, update);
    return rounded;
  }

  void measure(const std::string& name, const at::Tensor& sum, const at::Tensor& rounded, const at::Tensor& update) {
    const double error = (rounded.to(at::kFloat) - sum).square().sum(at::kDouble).item<double>(),
                 size = update.square().sum(at::kDouble).item<double>();
    error_squares_ += error, update_squares_ += size;
    ++report_.merged_modules;
    const double loss = size > 0 ? std::sqrt(error / size) : 0;
    if (loss >= report_.worst_loss)
      report_.worst_loss = loss, report_.worst_module = name.substr(0, name.size() - std::string_view(".weight").size());
  }

  void copy_small_files(const fs::path& output) {
    copy_model_files(model_.path(), output);
    // The merged model is used with the template that the adapter was trained with. The model's own stays where it is, beside its others.
    const fs::path chat_template = adapter_ / "chat_template.jinja";
    if (fs::is_regular_file(chat_template) && !text::is_default_template(model_.path(), read_file(chat_template)))
      write_file(output / chat_template.filename(), read_file(chat_template));
    if (report_.untied || own_head_) config_["tie_word_embeddings"] = false;
    set_config_dtype(&config_, dtype_name_);
    write_file(output / "config.json", dump_json(config_, 2) + "\n");
  }

  io::ModelDirectory model_;
  fs::path adapter_;
  Json config_;
  std::string dtype_name_, model_type_;
  std::optional<io::DType> dtype_;
  bool tied_ = false, own_head_ = false;  // own_head_: config.json ties what the files keep apart
  std::vector<std::string> names_;        // of the base's tensors, without what stands beside 4-bit weights
  std::set<std::string> quantized_;       // of them, stored in 4 bits
  std::optional<AdapterDelta> delta_;
  double error_squares_ = 0, update_squares_ = 0;
  MergeReport report_;
};

}  // namespace

MergeReport merge_adapter(const fs::path& model, const fs::path& adapter, const fs::path& output, const std::string& dtype) {
  return Merger(model, adapter, dtype).write(output);
}

}  // namespace graft::app
