#include "graft/models/weights.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <map>
#include <set>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/random.h"
#include "graft/base/signals.h"
#include "graft/base/strings.h"
#include "graft/io/tensor_file.h"
#include "graft/io/tensor_read.h"
#include "graft/models/bare_modules.h"
#include "graft/models/family.h"

namespace graft::models {
namespace {

constexpr size_t kShown = 20;

bool is_skipped(const DecoderOptions& options, const std::string& name) {
  return ends_with(name, "rotary_emb.inv_freq") || (options.tied_embeddings && name == "lm_head.weight");
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const int64_t size : shape) sizes.push_back(std::to_string(size));
  return "[" + join(sizes, ", ") + "]";
}

bool is_plain_float(io::DType dtype) {
  return dtype == io::DType::kF64 || dtype == io::DType::kF32 || dtype == io::DType::kF16 || dtype == io::DType::kBF16;
}

/// "missing: a, b and 3 more"
void add_list(std::string* text, const std::string& title, std::vector<std::string> names) {
  if (names.empty()) return;
  const size_t count = names.size();
  if (count > kShown) {
    names.resize(kShown);
    names.push_back(std::to_string(count - kShown) + " more");
  }
  *text += (text->empty() ? "" : "\n  ") + title + ": " + enumerate(names);
}

/// The (only) file's name, or the directory when there are shards.
std::string place_of(const io::ModelDirectory& directory) {
  return directory.files().size() == 1 ? directory.files()[0].path().string() : directory.path().string();
}

void fill(at::Tensor& parameter, const std::string& name, double deviation, uint64_t seed) {
  if (ends_with(name, ".bias")) {
    parameter.zero_();
  } else if (parameter.dim() == 1) {
    parameter.fill_(1.0);
  } else {
    auto values = at::empty(parameter.sizes(), at::kFloat);
    RandomStream stream(seed, "init:" + name);
    float* data = values.mutable_data_ptr<float>();
    for (int64_t i = 0; i < values.numel(); ++i) data[i] = static_cast<float>(deviation * stream.normal());
    parameter.copy_(values);
  }
}

void read_parameter(const io::SafetensorsFile& file, const io::TensorEntry& entry, const at::Tensor& parameter) {
  if (parameter.scalar_type() == io::to_scalar_type(entry.dtype) && parameter.is_contiguous()) return io::read_into(file, entry, parameter);
  parameter.copy_(io::view(file, entry));
  io::release_pages(file, entry);
}

/// "a.b.weight" → "a.b" for the Linears whose weights are the loader's business.
std::map<std::string, std::string> taken_weights(const DecoderOptions& options, const io::LinearLoader* linears) {
  std::map<std::string, std::string> taken;
  if (linears == nullptr) return taken;
  for (const auto& [path, shape] : linear_shapes(options))
    if (linears->takes(path) && !is_skipped(options, path + ".weight")) taken[path + ".weight"] = path;
  return taken;
}

}  // namespace

Decoder make_decoder(const DecoderOptions& options, const at::TensorOptions& tensors, const io::LinearLoader* linears) {
  const WeightlessLinears scope(linears != nullptr);
  Decoder decoder(options, tensors);
  for (const auto& item : decoder->named_modules()) {
    auto* linear = item.value()->as<torch::nn::LinearImpl>();
    if (linear == nullptr || !is_weightless(linear->weight) || linears->takes(item.key())) continue;
    share_weight(*linear, bare_parameter(linear->weight.sizes(), tensors));
  }
  return decoder;
}

void check_weights(const DecoderOptions& options, const io::ModelDirectory& directory, const io::LinearLoader* linears) {
  std::vector<std::string> missing, misshaped, left_over, wrong_dtype;
  std::set<std::string> known;
  const auto taken = taken_weights(options, linears);
  for (const auto& [name, shape] : parameter_shapes(options)) {
    known.insert(name);
    if (const auto weight = taken.find(name); weight != taken.end()) {
      const auto companions = linears->companions(weight->second);
      known.insert(companions.begin(), companions.end());
      if (linears->check(weight->second, shape, directory)) continue;
    }
    const auto tensor = directory.find(name);
    if (!tensor) {
      missing.push_back(name);
    } else if (tensor->entry->shape != shape) {
      misshaped.push_back(name + " is " + shape_text(tensor->entry->shape) + " but config.json implies " + shape_text(shape));
    } else if (!is_plain_float(tensor->entry->dtype)) {
      wrong_dtype.push_back(name + " (" + to_string(tensor->entry->dtype) + ")");
    }
  }
  for (const auto& name : directory.tensor_names()) {
    if (!known.count(name) && !is_skipped(options, name)) left_over.push_back(name);
  }
  std::string problems;
  const auto nearest = missing.empty() ? std::string() : nearest_name(missing[0], left_over);
  const bool head_only = options.tied_embeddings && directory.find("lm_head.weight") && !directory.find("model.embed_tokens.weight");
  add_list(&problems, "missing", missing);
  add_list(&problems, "of the wrong shape", misshaped);
  add_list(&problems, "left over", left_over);
  add_list(&problems, "stored in a type this version does not load", wrong_dtype);
  if (problems.empty()) return;
  throw DataError("the weights do not fit the model that config.json describes\n  " + problems)
      .at(place_of(directory))
      .nearest(nearest)
      .hint(
          head_only
              ? "the embeddings are tied to the head, and the files hold the head alone: rename lm_head.weight to model.embed_tokens.weight"
          : wrong_dtype.empty() ? "check that config.json and the weights belong together, and that the download is complete"
                                : "use a checkpoint stored in float32, bfloat16 or float16; quant.type quantizes it while loading");
}

void load_weights(Decoder& decoder, const io::ModelDirectory& directory, const io::LinearLoader* linears) {
  const at::NoGradGuard no_gradients;
  const auto parameters = decoder->named_parameters();
  const auto modules = decoder->named_modules();
  std::set<std::string> companions;
  const auto taken = taken_weights(decoder->options(), linears);
  for (const auto& [weight, path] : taken)
    for (auto& name : linears->companions(path)) companions.insert(std::move(name));
  const auto options = at::TensorOptions(decoder->dtype()).device(decoder->device());
  // In the order of the files, so that disks read forward.
  for (const auto& file : directory.files()) {
    for (const auto& entry : file.entries()) {
      stop_if_signalled("loading the model");
      if (is_skipped(decoder->options(), entry.name) || companions.count(entry.name) > 0) continue;
      if (const auto weight = taken.find(entry.name); weight != taken.end()) {
        linears->load(modules[weight->second], weight->second, directory, options);
        continue;
      }
      const auto* parameter = parameters.find(entry.name);
      if (parameter == nullptr) throw InternalError("no parameter for tensor " + entry.name);
      read_parameter(file, entry, *parameter);
    }
  }
}

void initialize_weights(Decoder& decoder, uint64_t seed) {
  const at::NoGradGuard no_gradients;
  for (auto& item : decoder->named_parameters()) {
    stop_if_signalled("initializing the model");
    if (is_skipped(decoder->options(), item.key())) continue;  // a tied head is the embedding
    fill(item.value(), item.key(), decoder->options().initializer_range, seed);
  }
}

}  // namespace graft::models
