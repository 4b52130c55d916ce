#include "graft/app/quantize.h"

#include <ATen/Functions.h>

#include <cmath>
#include <map>
#include <set>

#include "graft/adapters/four_bit_files.h"
#include "graft/app/cast_weight.h"
#include "graft/app/model_files.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/io/atomic_directory.h"
#include "graft/io/quantization_config.h"
#include "graft/io/tensor_file.h"
#include "graft/models/family.h"
#include "graft/models/load.h"
#include "graft/models/weights.h"

namespace graft::app {
namespace {

constexpr std::string_view kWeight = ".weight";

class Quantizer {
 public:
  Quantizer(const fs::path& model, const quant::FourBitOptions& options, const std::string& dtype)
      : model_(model), options_(options), dtype_name_(dtype) {
    quant::check_block(options.block);
    if (io::read_quantization_config(model_))
      throw DataError("the model is stored in 4 bits already").at(model.string()).hint("start from the unquantized model");
    const auto decoder = models::read_decoder_options(model_);
    models::check_weights(decoder, model_);
    for (const auto& [path, shape] : models::linear_shapes(decoder))
      if (path != "lm_head") chosen_.insert(path + std::string(kWeight));
    tied_ = decoder.tied_embeddings;
    if (!dtype.empty()) dtype_ = dtype_of(dtype);
  }

  QuantizeFilesReport write(const fs::path& output) {
    if (fs::exists(output) && !fs::is_empty(output))
      throw InUseError("the output directory holds files already").at(fs::absolute(output).string()).hint("name a new directory");
    io::AtomicDirectory directory(output);
    copy_model_files(model_.path(), directory.path());
    declare();
    write_weights(directory.path() / "model.safetensors");
    write_config(directory.path() / "config.json");
    directory.commit();
    report_.error = squares_ > 0 ? std::sqrt(error_squares_ / squares_) : 0;
    return report_;
  }

 private:
  // A tied head is the embedding: files that carry a copy of it lose it, as in transformers. (One that differs is not tied.)
  bool is_dropped(const std::string& name) const { return ends_with(name, "rotary_emb.inv_freq") || (tied_ && name == "lm_head.weight"); }

  at::Tensor plain(const std::string& name) const {
    const auto found = model_.at(name);
    const at::Tensor value = io::view(*found.file, *found.entry);
    const at::Tensor cast =
        cast_weight(value, dtype_.value_or(value.scalar_type() == at::kDouble ? at::kFloat : value.scalar_type()), name);
    return cast.is_alias_of(value) ? cast.clone() : cast;  // the file's pages are given back
  }

  quant::FourBitTensor encoded(const std::string& name) const {
    const auto found = model_.at(name);
    auto tensor = quant::encode(plain(name), options_, model_.path().string() + ": " + name);
    io::release_pages(*found.file, *found.entry);
    return tensor;
  }

  void add_entry(const std::string& name, io::DType dtype, std::vector<int64_t> shape) {
    entries_.push_back({name, dtype, std::move(shape), 0, 0});
  }

  /// First pass: everything but the codes.
  void declare() {
    for (const auto& name : model_.tensor_names()) {
      if (is_dropped(name)) continue;
      const auto& entry = *model_.at(name).entry;
      report_.bytes_before += static_cast<int64_t>(entry.end - entry.begin);
      if (chosen_.count(name) == 0) {
        const auto type = dtype_.value_or(entry.dtype == io::DType::kF64 ? at::kFloat : io::to_scalar_type(entry.dtype));
        add_entry(name, io::to_dtype(type), entry.shape);
        continue;
      }
      const auto tensor = encoded(name);
      measure(name, tensor);
      ++report_.modules;
      for (auto& [part, value] : detail::four_bit_files(tensor, name.substr(0, name.size() - kWeight.size()))) {
        add_entry(part, io::to_dtype(value.scalar_type()), value.sizes().vec());
        if (part != name) small_.emplace(part, value);
      }
    }
  }

  void measure(const std::string& name, const quant::FourBitTensor& tensor) {
    const at::Tensor original = plain(name).to(at::kFloat);
    error_squares_ += (quant::decode(tensor, at::kFloat) - original).square_().sum(at::kDouble).item<double>();
    squares_ += original.square().sum(at::kDouble).item<double>();
  }

  /// Second pass, in the order the format wants.
  void write_weights(const fs::path& path) {
    io::SafetensorsWriter writer(path, entries_);
    for (const auto& entry : writer.order()) {
      const auto kept = small_.find(entry.name);
      const at::Tensor value = kept != small_.end()            ? kept->second
                               : chosen_.count(entry.name) > 0 ? encoded(entry.name).codes
                                                               : plain(entry.name);
      const at::Tensor bytes = value.contiguous();
      writer.append({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()});
      report_.bytes_after += static_cast<int64_t>(bytes.nbytes());
    }
    writer.finish();
  }

  void write_config(const fs::path& path) const {
    Json config = parse_json(model_.config_text(), (model_.path() / "config.json").string());
    io::QuantizationConfig quantization;
    quantization.type = quant::to_string(options_.type);
    quantization.double_quant = options_.double_quant;
    const at::ScalarType compute = dtype_ ? *dtype_ : dtype_of(models::read_decoder_options(model_).dtype);
    quantization.compute_dtype = compute == at::kFloat ? "float32" : compute == at::kBFloat16 ? "bfloat16" : "float16";
    config["quantization_config"] = io::quantization_json(quantization);
    if (!tied_ && config.contains("tie_word_embeddings")) config["tie_word_embeddings"] = false;
    set_config_dtype(&config, dtype_name_);
    write_file(path, dump_json(config, 2) + "\n");
  }

  io::ModelDirectory model_;
  quant::FourBitOptions options_;
  std::string dtype_name_;
  std::optional<at::ScalarType> dtype_;
  bool tied_ = false;
  std::set<std::string> chosen_;
  std::vector<io::TensorEntry> entries_;
  std::map<std::string, at::Tensor> small_;
  double error_squares_ = 0, squares_ = 0;
  QuantizeFilesReport report_;
};

}  // namespace

QuantizeFilesReport quantize_files(const fs::path& model, const fs::path& output, const quant::FourBitOptions& options,
                                   const std::string& dtype) {
  return Quantizer(model, options, dtype).write(output);
}

}  // namespace graft::app
