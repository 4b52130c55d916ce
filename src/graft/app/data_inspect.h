#pragma once

#include <ostream>

#include "graft/recipe/recipe.h"

namespace graft::app {

/// `graft data inspect`: the first `limit` samples as they are trained on. For people: the text, tokens that carry loss in green
/// and the others dimmed (with colour) or trained runs in [[…]] (without). With json: one document {"samples":[{"place","text",
/// "ids","labels","position_ids","document_ids"}…],"statistics":{…}}. No LibTorch.
void inspect_data(const recipe::Recipe& recipe, int64_t limit, bool json, bool color, std::ostream& out);

}  // namespace graft::app
