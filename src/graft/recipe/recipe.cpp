#include "graft/recipe/recipe.h"

#include <cmath>

#include "graft/base/files.h"
#include "graft/recipe/schema.h"

namespace graft::recipe {

int64_t Frequency::steps(int64_t total_steps, double steps_per_epoch, int64_t least) const {
  double count = value;
  if (unit == Unit::kPercent) count = static_cast<double>(total_steps) * value / 100.0;
  if (unit == Unit::kEpochs) count = steps_per_epoch * value;
  // 3% of 100 is 3.0000000000000004 in binary: what is a whole number up to rounding is that number.
  const double nearest = std::round(count);
  if (std::abs(count - nearest) < 1e-9 * std::max(1.0, std::abs(count))) count = nearest;
  return std::max(least, static_cast<int64_t>(std::ceil(count)));
}

std::string Recipe::place_of(const std::string& key) const {
  const auto found = places.find(key);
  if (found != places.end()) return found->second;
  const size_t dot = key.rfind('.');
  return dot == std::string::npos ? file.string() : place_of(key.substr(0, dot));
}

bool Recipe::operator==(const Recipe& other) const {
  return schema == other.schema && name == other.name && task == other.task && seed == other.seed && output_dir == other.output_dir &&
         model == other.model && quant == other.quant && adapter == other.adapter && data == other.data && batch == other.batch &&
         train == other.train && memory == other.memory && runtime == other.runtime && eval == other.eval &&
         checkpoint == other.checkpoint && log == other.log && exports == other.exports;
}

fs::path Recipe::directory_of(const std::string& place) const {
  // FILE:LINE:COLUMN, or a word for the command line
  const size_t column = place.rfind(':'), line = column == std::string::npos || column == 0 ? column : place.rfind(':', column - 1);
  std::error_code ignored;
  if (line != std::string::npos && fs::is_regular_file(place.substr(0, line), ignored))
    return fs::path(place.substr(0, line)).parent_path();
  return file.parent_path();
}

RecipeError missing_path(const Recipe& recipe, const std::string& key, const std::string& path, const std::string& what) {
  std::string hint = "relative paths start at the working directory";
  const fs::path beside = recipe.directory_of(recipe.place_of(key)) / path;
  std::error_code ignored;
  if (!recipe.file.empty() && fs::path(path).is_relative() && fs::exists(beside, ignored)) {
    hint = "it exists beside the recipe: write " + beside.string() + " (relative paths start at the working directory)";
  }
  const bool other_kind = fs::exists(path, ignored);
  RecipeError error(recipe.place_of(key) + ": " + key + ": the " + what + " \"" + path + "\" " +
                    (other_kind ? (fs::is_directory(path, ignored) ? "is a directory" : "is a file, not a directory") : "does not exist"));
  error.at(fs::absolute(path, ignored).string()).hint(hint);
  return error;
}

}  // namespace graft::recipe
