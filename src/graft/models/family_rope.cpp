#include <algorithm>
#include <cmath>
#include <map>

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/models/family_config.h"

namespace graft::models {
namespace {

constexpr int64_t kMaxPositions = int64_t{1} << 31;
constexpr double kMaxFactor = 1e6;

const std::map<std::string, RopeOptions::Type>& rope_types() {
  static const std::map<std::string, RopeOptions::Type> types = {{"default", RopeOptions::Type::kDefault},
                                                                 {"linear", RopeOptions::Type::kLinear},
                                                                 {"dynamic", RopeOptions::Type::kDynamic},
                                                                 {"llama3", RopeOptions::Type::kLlama3},
                                                                 {"yarn", RopeOptions::Type::kYarn}};
  return types;
}

RopeOptions::Type read_type(const io::ConfigReader& rope) {
  const bool old_name = rope.has("type");  // the same thing under transformers 4's name; both may be there
  const auto name = rope.has("rope_type") ? rope.string("rope_type") : old_name ? rope.string("type") : "default";
  const auto found = rope_types().find(name);
  if (found != rope_types().end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [key, type] : rope_types()) known.push_back(key);
  throw DataError("rope type \"" + name + "\" is not supported; supported are " + enumerate(known))
      .at(rope.place(rope.has("rope_type") ? "rope_type" : "type"))
      .nearest(nearest_name(name, known));
}

double positive(const io::ConfigReader& rope, const std::string& key, double value, double max) {
  if (!std::isfinite(value) || value <= 0 || value > max) rope.fail(key, "a number above 0");
  return value;
}

double read_factor(const io::ConfigReader& rope) {
  const double factor = rope.number("factor");
  if (!std::isfinite(factor) || factor < 1 || factor > kMaxFactor) rope.fail("factor", "a number from 1");
  return factor;
}

void read_llama3(const io::ConfigReader& rope, RopeOptions* options) {
  options->factor = read_factor(rope);
  options->low_frequency_factor = positive(rope, "low_freq_factor", rope.number("low_freq_factor"), kMaxFactor);
  options->high_frequency_factor = positive(rope, "high_freq_factor", rope.number("high_freq_factor"), kMaxFactor);
  if (options->high_frequency_factor <= options->low_frequency_factor) rope.fail("high_freq_factor", "a number above low_freq_factor");
}

void read_yarn(const io::ConfigReader& rope, RopeOptions* options, int64_t max_position_embeddings) {
  options->factor = rope.has("factor")
                        ? read_factor(rope)
                        : static_cast<double>(max_position_embeddings) / static_cast<double>(options->original_max_positions);
  options->beta_fast = positive(rope, "beta_fast", rope.number_or("beta_fast", 32.0), kMaxFactor);
  options->beta_slow = positive(rope, "beta_slow", rope.number_or("beta_slow", 1.0), kMaxFactor);
  options->attention_factor = rope.number_or("attention_factor", 0.0);
  options->mscale = rope.number_or("mscale", 0.0);
  options->mscale_all_dim = rope.number_or("mscale_all_dim", 0.0);
  options->truncate = rope.boolean_or("truncate", true);
  for (const char* key : {"attention_factor", "mscale", "mscale_all_dim"}) {
    const double value = rope.number_or(key, 0.0);
    if (!std::isfinite(value) || value < 0) rope.fail(key, "a number from 0");
    if (value == 0 && std::string_view(key) == "attention_factor" && rope.has(key)) rope.fail(key, "a number above 0, or null");
  }
}

/// The positions on which the model was trained: from the rope section, else from beside it, else max_position_embeddings.
int64_t read_original_positions(const io::ConfigReader& config, const io::ConfigReader& rope, int64_t max_position_embeddings) {
  const int64_t beside = config.integer_or("original_max_position_embeddings", max_position_embeddings, 1, kMaxPositions);
  const int64_t inside = rope.integer_or("original_max_position_embeddings", beside, 1, kMaxPositions);
  return config.has("original_max_position_embeddings") ? beside : inside;  // transformers' order
}

void read_section(const io::ConfigReader& config, const io::ConfigReader& rope, DecoderOptions* decoder, int64_t max_position_embeddings) {
  auto& options = decoder->rope;
  options.type = read_type(rope);
  options.original_max_positions = max_position_embeddings;
  const auto scaled = [&](double positions) { return static_cast<int64_t>(std::min(positions, 1e15)); };
  const auto positions = static_cast<double>(max_position_embeddings);
  switch (options.type) {
    case RopeOptions::Type::kDefault:
      if (rope.number_or("factor", 1.0) != 1.0) rope.fail("factor", "1 (or a rope_type that scales)");
      break;
    case RopeOptions::Type::kLinear:
    case RopeOptions::Type::kDynamic:
      options.factor = read_factor(rope);
      decoder->max_positions = scaled(positions * options.factor);
      break;
    case RopeOptions::Type::kLlama3:  // max_position_embeddings already counts the scaling
      options.original_max_positions = read_original_positions(config, rope, max_position_embeddings);
      read_llama3(rope, &options);
      break;
    case RopeOptions::Type::kYarn:
      options.original_max_positions = read_original_positions(config, rope, max_position_embeddings);
      read_yarn(rope, &options, max_position_embeddings);
      decoder->max_positions = scaled(std::max(positions, static_cast<double>(options.original_max_positions) * options.factor));
      break;
  }
  if (options.type == RopeOptions::Type::kDynamic && decoder->head_size == 2) {
    throw DataError("dynamic rope scaling needs attention heads more than 2 wide").at(config.place("head_dim"));
  }
  rope.ignore({"finetuned", "original_max_position_embeddings"});  // the types above that use the latter have read it
}

}  // namespace

void read_rope(const io::ConfigReader& config, DecoderOptions* decoder, int64_t max_position_embeddings) {
  auto& options = decoder->rope;
  decoder->max_positions = options.original_max_positions = max_position_embeddings;
  options.theta = config.number_or("rope_theta", options.theta);
  double rotated = config.number_or("partial_rotary_factor", 1.0);
  // A file that has both was written by transformers 5 for readers of version 4; rope_scaling wins there as well.
  const auto old_section = config.object("rope_scaling"), new_section = config.object("rope_parameters");
  const auto* section = old_section && !old_section->keys().empty() ? &old_section : &new_section;
  if (section == &old_section && new_section) {
    for (const auto& key : new_section->keys()) new_section->has(key);
  }
  std::string theta_place = config.place("rope_theta");
  if (*section) {
    const auto& rope = **section;
    if (rope.has("rope_theta")) {
      options.theta = rope.number("rope_theta");
      theta_place = rope.place("rope_theta");
    }
    rotated = rope.number_or("partial_rotary_factor", rotated);
    read_section(config, rope, decoder, max_position_embeddings);
  }
  if (!std::isfinite(options.theta) || options.theta <= 1) {
    throw DataError("rope_theta must be a number above 1").at(theta_place).hint("10000 is the usual value");
  }
  if (rotated != 1.0) {
    throw DataError("only a part of each head is rotated (partial_rotary_factor is not 1), which this family does not do")
        .at(config.place("partial_rotary_factor"));
  }
}

}  // namespace graft::models
