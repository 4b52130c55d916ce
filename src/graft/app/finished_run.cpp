#include "graft/app/finished_run.h"

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/io/adapter_config.h"
#include "graft/io/model_directory.h"
#include "graft/io/safetensors.h"
#include "graft/train/run_directory.h"

namespace graft::app {
namespace {

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
  return train::RunDirectory::holds_finished_run(recipe.output_dir, recipe::identity_hash(recipe)) && has_whole_weights(recipe);
}

}  // namespace graft::app
