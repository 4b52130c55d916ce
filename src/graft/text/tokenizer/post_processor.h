#pragma once

#include <cstdint>
#include <vector>

#include "graft/text/tokenizer/field.h"

namespace graft::text::tok {

/// What is put before and after the tokens of a text.
struct PostProcessor {
  std::vector<int32_t> prefix, suffix;
};

/// TemplateProcessing (its "single" template), BertProcessing, RobertaProcessing, ByteLevel (which only trims offsets; graft's are never
/// trimmed) and Sequence. DataError naming the JSON path for anything else, and for a template without exactly one $A.
PostProcessor read_post_processor(const Field& field);

}  // namespace graft::text::tok
