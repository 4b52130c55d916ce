#include "graft/app/finished_run.h"

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/io/adapter_config.h"
#include "graft/io/model_directory.h"
#include "graft/io/safetensors.h"

namespace graft::app {
namespace {

/// A member of a JSON file of the run directory; null when either is not there or is damaged.
Json member_of(const fs::path& file, const char* key) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return Json();
  try {
    const Json json = read_json(file.string());
    return json.is_object() && json.contains(key) ? json[key] : Json();
  } catch (const Error&) {
    return Json();
  }
}

void open_weights(const recipe::Recipe& recipe) {
  const fs::path path = final_weights(recipe);
  if (recipe.adapter.type == "full") {
    io::ModelDirectory whole(path);
    return;
  }
  std::vector<std::string> known_warnings;
  io::read_adapter_config(path, &known_warnings);
  io::SafetensorsFile::open(path / "adapter_model.safetensors");
}

bool has_whole_weights(const recipe::Recipe& recipe) {
  std::error_code ignored;
  if (!fs::exists(final_weights(recipe), ignored)) return false;
  try {
    open_weights(recipe);
    return true;
  } catch (const Error& error) {
    log::warning("this run is finished but its final weights are damaged (" + error.message() + "); they are written again");
    return false;
  }
}

}  // namespace

fs::path final_weights(const recipe::Recipe& recipe) {
  return fs::path(recipe.output_dir) / (recipe.adapter.type == "full" ? "model" : "adapter");
}

bool is_finished_run(const recipe::Recipe& recipe) {
  const fs::path directory = recipe.output_dir;
  return member_of(directory / "run.json", "identity") == Json(recipe::identity_hash(recipe)) &&
         member_of(directory / "report.json", "finished") == Json(true) && has_whole_weights(recipe);
}

}  // namespace graft::app
