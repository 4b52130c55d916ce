#pragma once

#include <filesystem>

#include "graft/recipe/recipe.h"

namespace graft::app {

/// Where the run's final weights are, or will be: "adapter" in output_dir, or "model" after full fine-tuning.
std::filesystem::path final_weights(const recipe::Recipe& recipe);

/// Whether output_dir holds the finished run of this recipe with its final weights whole. Looks at output_dir alone: a finished run is
/// known as such when its data, its base or its GPU are gone. Damaged final weights are warned about; the run's last checkpoint makes
/// them again.
bool is_finished_run(const recipe::Recipe& recipe);

}  // namespace graft::app
