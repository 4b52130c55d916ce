#pragma once

#include <string>
#include <vector>

#include "graft/base/json.h"
#include "graft/text/chat_encoder.h"
#include "graft/text/chat_template.h"

namespace graft::text {

/// The trained bytes of one rendered conversation, in order.
struct TrainedText {
  std::string text;
  std::vector<Span> spans;
};

/// What encode_chat's contract says, before any token: see there.
TrainedText trained_spans(const ChatTemplate& chat_template, const Json& messages, const TrainOn& train_on, const RenderOptions& options);

}  // namespace graft::text
