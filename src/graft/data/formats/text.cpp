#include "graft/data/formats.h"

namespace graft::data {

// {"text": "…"}
Example read_text(const RowView& row, const FormatContext&) { return PlainText{row.require_string("text")}; }

}  // namespace graft::data
