#pragma once

#include "graft/base/json.h"

namespace graft::text {

/// DataError unless `messages` is an array of objects, each with a string `role`. The place is `messages[i].role` and the like.
void check_messages(const Json& messages);

/// The messages as transformers hands them to a template: keys whose value is null are gone, and `reasoning_content` and
/// `thinking` are filled from whichever of reasoning_content, thinking, reasoning is there.
Json plain_messages(const Json& messages);

}  // namespace graft::text
