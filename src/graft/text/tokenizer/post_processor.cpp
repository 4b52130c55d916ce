#include "graft/text/tokenizer/post_processor.h"

#include "graft/text/tokenizer/file.h"

namespace graft::text::tok {
namespace {

int32_t read_id(const Field& field) { return static_cast<int32_t>(field.integer(0, kLargestId)); }

/// ["[SEP]", 102]
int32_t read_named_id(const Field& field) {
  const std::vector<Field> items = field.items();
  if (items.size() != 2) field.fail("expected [token, id]");
  items[0].string();
  return read_id(items[1]);
}

std::vector<int32_t> read_template_token(const Field& piece, const Field& special_tokens) {
  const std::string name = piece.string("id");
  if (!special_tokens.has(name.c_str())) piece.fail("\"" + name + "\" is not in special_tokens");
  std::vector<int32_t> ids;
  for (const Field& id : special_tokens.at(name.c_str()).at("ids").items()) ids.push_back(read_id(id));
  return ids;
}

PostProcessor read_template(const Field& field) {
  field.expect_only({"single", "pair", "special_tokens"});
  PostProcessor result;
  bool seen_text = false;
  for (const Field& piece : field.at("single").items()) {
    const std::vector<std::string> names = piece.names();
    if (names.size() != 1 || (names[0] != "Sequence" && names[0] != "SpecialToken"))
      piece.fail("expected {\"Sequence\": …} or {\"SpecialToken\": …}");
    const Field content = piece.at(names[0].c_str());
    if (names[0] == "SpecialToken") {
      const std::vector<int32_t> ids = read_template_token(content, field.at("special_tokens"));
      auto& side = seen_text ? result.suffix : result.prefix;
      side.insert(side.end(), ids.begin(), ids.end());
    } else if (content.at("id").choice("sequence", {"A", "B"}) != 0 || seen_text) {
      content.fail("the template for single texts must use the sequence A once and no other");
    } else {
      seen_text = true;
    }
  }
  if (!seen_text) field.at("single").fail("the template does not use the sequence A");
  return result;
}

}  // namespace

PostProcessor read_post_processor(const Field& field) {
  if (field.is_null()) return {};
  switch (
      field.at("type").choice("post-processor", {"TemplateProcessing", "ByteLevel", "Sequence", "BertProcessing", "RobertaProcessing"})) {
    case 0:
      return read_template(field);
    case 1:
      field.expect_only({"add_prefix_space", "trim_offsets", "use_regex"});
      return {};
    case 2: {
      field.expect_only({"processors"});
      PostProcessor all;
      for (const Field& item : field.at("processors").items()) {
        if (item.is_null()) item.fail("expected a post-processor, not null");
        const PostProcessor one = read_post_processor(item);
        const bool adds = !one.prefix.empty() || !one.suffix.empty();
        if (adds && (!all.prefix.empty() || !all.suffix.empty()))
          item.fail("a second post-processor that adds tokens: what it takes for the text depends on how the first one splits it");
        all.prefix.insert(all.prefix.begin(), one.prefix.begin(), one.prefix.end());
        all.suffix.insert(all.suffix.end(), one.suffix.begin(), one.suffix.end());
      }
      return all;
    }
    default:
      field.expect_only({"sep", "cls", "trim_offsets", "add_prefix_space"});
      return {{read_named_id(field.at("cls"))}, {read_named_id(field.at("sep"))}};
  }
}

}  // namespace graft::text::tok
