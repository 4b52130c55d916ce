#pragma once

#include <string>
#include <vector>

#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// A filter: its input and the other arguments.
using Filter = Value (*)(Runtime&, const Value& input, const Arguments& arguments);

/// jinja2's filter of that name (tojson is transformers'); null when there is none.
Filter find_filter(const std::string& name);
std::vector<std::string> filter_names();

/// The filters, by file.
struct NamedFilter {
  const char* name;
  Filter filter;
};
const std::vector<NamedFilter>& text_filters();
const std::vector<NamedFilter>& number_filters();
const std::vector<NamedFilter>& sequence_filters();
const std::vector<NamedFilter>& selection_filters();

/// "a.b.0" as the filters' `attribute` means it: item by item.
Value attribute_path(Runtime& runtime, Value item, const Value& path, const Value* standard = nullptr);

/// Lower-cased when a string: what case-insensitive filters compare.
Value ignore_case(Runtime& runtime, const Value& value);

}  // namespace graft::text::jinja
