#include "graft/app/bench_shape.h"

#include <filesystem>
#include <map>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/strings.h"
#include "graft/io/model_directory.h"
#include "graft/models/family.h"

namespace graft::app {
namespace {

struct Sizes {
  int64_t hidden, intermediate, layers, heads, key_value_heads, head;
  bool tied;
  double rope_factor;
};

/// Source: the config.json files of Llama 3.1 and 3.2; see also arXiv:2407.21783, table 3.
const std::map<std::string, Sizes>& known_shapes() {
  static const std::map<std::string, Sizes> shapes = {
      {"llama-1b", {2048, 8192, 16, 32, 8, 64, true, 32}},
      {"llama-8b", {4096, 14336, 32, 32, 8, 128, false, 8}},
      {"llama-70b", {8192, 28672, 80, 64, 8, 128, false, 8}},
  };
  return shapes;
}

models::DecoderOptions llama3(const Sizes& sizes) {
  models::DecoderOptions options;
  options.family = "llama";
  options.vocabulary_size = 128256;
  options.hidden_size = sizes.hidden;
  options.intermediate_size = sizes.intermediate;
  options.layers = sizes.layers;
  options.attention_heads = sizes.heads;
  options.key_value_heads = sizes.key_value_heads;
  options.head_size = sizes.head;
  options.max_positions = 131072;
  options.norm_epsilon = 1e-5;
  options.tied_embeddings = sizes.tied;
  options.rope.type = models::RopeOptions::Type::kLlama3;
  options.rope.theta = 500000;
  options.rope.factor = sizes.rope_factor;
  options.rope.original_max_positions = 8192;
  options.dtype = "bfloat16";
  return options;
}

}  // namespace

models::DecoderOptions bench_shape(const std::string& name) {
  const auto known = known_shapes().find(name);
  if (known != known_shapes().end()) return llama3(known->second);
  std::error_code ignored;
  if (fs::is_directory(name, ignored)) return models::read_decoder_options(io::ModelDirectory(name, io::ModelDirectory::Open::kConfigOnly));
  if (fs::exists(name, ignored)) return models::parse_decoder_options(read_file(name), name);
  std::vector<std::string> names;
  for (const auto& [shape, sizes] : known_shapes()) names.push_back(shape);
  throw UsageError("--shape: \"" + name + "\" is neither a built-in shape nor a file or directory")
      .at(fs::absolute(name, ignored).string())
      .nearest(nearest_name(name, names))
      .hint("shapes are " + enumerate(names) + ", a config.json or a model directory");
}

}  // namespace graft::app
