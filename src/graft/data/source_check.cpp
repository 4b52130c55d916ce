#include <algorithm>

#include "graft/base/strings.h"
#include "graft/data/formats.h"
#include "graft/data/source_builder.h"
#include "graft/data/source_files.h"

namespace graft::data {
namespace {

constexpr double kMaxWeight = 1000;

void check_fields(const SourceOptions& source, const Format& format) {
  std::vector<std::string> known = format.required;
  known.insert(known.end(), format.optional.begin(), format.optional.end());
  for (const auto& [field, key] : source.fields) {
    if (std::find(known.begin(), known.end(), field) == known.end())
      throw_source_error(source, "fields names \"" + field + "\", which format " + format.name + " does not have",
                         nearest_name(field, known),
                         "write the format's field first, then the key in the file; it has " + enumerate(known));
    if (key.empty()) throw_source_error(source, "fields gives \"" + field + "\" an empty key", "", "write the key it has in the file");
  }
}

}  // namespace

void check_source(const SourceOptions& source, const DatasetOptions& options, const text::Tokenizer* tokenizer,
                  const text::ChatTemplate* chat_template) {
  const Format* format = find_format(source.format);
  if (format == nullptr)
    throw_source_error(source, source.format.empty() ? "the data source has no format" : "unknown data format \"" + source.format + "\"",
                       nearest_name(source.format, format_names()), "use one of " + enumerate(format_names()));
  check_fields(source, *format);
  if (!(source.weight > 0) || source.weight > kMaxWeight)
    throw_source_error(source, "weight must be above 0 and at most 1000", "", "leave the source out to take nothing of it");
  if (source.limit == 0 || source.limit < -1) throw_source_error(source, "limit must be at least 1", "", "leave it out to take all rows");
  if (format->name != "tokens" && tokenizer == nullptr)
    throw_source_error(source, "format " + format->name + " needs a tokenizer, and the model has no tokenizer.json", "",
                       "add it to the model directory, or use format: tokens");
  if (format->chat_template == Format::Template::kRequired && chat_template == nullptr)
    throw_source_error(source, "format " + format->name + " needs a chat template, and the model has none", "",
                       "set data.template: chatml, or file:PATH");
  const bool ends_in_eos = format->name == "text" || (format->name == "alpaca" && chat_template == nullptr);
  if (ends_in_eos && options.eos_id < 0)
    throw_source_error(source, "format " + format->name + " ends in the end-of-sequence token, and the model names none", "",
                       "add eos_token to tokenizer_config.json, or eos_token_id to config.json");
}

}  // namespace graft::data
