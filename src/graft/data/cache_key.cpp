#include "graft/data/cache_key.h"

#include "graft/base/json.h"
#include "graft/base/sha256.h"
#include "graft/data/content_hash.h"
#include "graft/data/formats.h"

namespace graft::data {
namespace {

/// Raise when the same input gives other samples than before.
constexpr int kFormatVersion = 2;

Json template_key(const text::ChatTemplate& chat_template, const DatasetOptions& options) {
  return {{"hash", chat_template.hash()}, {"date", chat_template.uses_date() ? options.template_date : ""}};
}

}  // namespace

std::string source_key(const SourceOptions& source, const std::vector<std::filesystem::path>& files, const DatasetOptions& options,
                       const text::Tokenizer* tokenizer, const text::ChatTemplate* chat_template) {
  const Format* format = find_format(source.format);
  Json key;
  key["version"] = kFormatVersion;
  for (const auto& file : files) key["files"].push_back({content_hash(file, options.cache_directory), file.extension().string()});
  key["format"] = source.format;
  key["fields"] = source.fields;
  key["limit"] = source.limit;
  key["tokenizer"] = tokenizer == nullptr ? "" : tokenizer->hash();
  key["vocabulary"] = options.vocabulary_size;
  if (chat_template != nullptr && format->chat_template != Format::Template::kUnused)
    key["template"] = template_key(*chat_template, options);
  key["train_on"] = {static_cast<int>(options.train_on.kind), options.train_on.roles};
  key["max_length"] = options.max_length;
  key["on_overflow"] = static_cast<int>(options.on_overflow);
  key["on_bad_sample"] = static_cast<int>(options.on_bad_sample);
  key["pretrain"] = options.pretrain;
  key["eos"] = options.eos_id;
  return sha256(dump_json(key));
}

}  // namespace graft::data
