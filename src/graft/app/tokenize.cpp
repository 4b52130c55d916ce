#include "graft/app/tokenize.h"

#include <filesystem>
#include <memory>

#include "graft/app/json_lines.h"
#include "graft/app/template_date.h"
#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/text/chat_template.h"
#include "graft/text/tokenizer.h"

namespace graft::app {
namespace {

class LineTokenizer {
 public:
  explicit LineTokenizer(const TokenizeOptions& options)
      : options_(options), date_(template_date(options.template_date)), tokenizer_(text::Tokenizer::load(options.model)) {}

  std::string encode_text(std::string_view utf8) const { return ids_to_json(tokenizer_.encode(utf8, !options_.no_special)); }

  std::string encode_line(const Json& line, const std::string& place) {
    if (!line.is_object()) throw DataError("expected an object with \"text\" or \"messages\"").at(place);
    if (line.contains("text") && line["text"].is_string()) return encode_text(line["text"].get_ref<const std::string&>());
    if (!line.contains("messages")) throw DataError("expected \"text\" (a string) or \"messages\" (a list)").at(place);
    text::RenderOptions render;
    render.date = date_;
    if (line.contains("add_generation_prompt")) {
      if (!line["add_generation_prompt"].is_boolean()) throw DataError("\"add_generation_prompt\" is true or false").at(place);
      render.add_generation_prompt = line["add_generation_prompt"].get<bool>();
    }
    if (line.contains("tools")) render.tools = line["tools"];
    if (!template_) template_ = std::make_unique<text::ChatTemplate>(text::ChatTemplate::load(model_directory()));
    // Templates write BOS themselves; the post-processor would write it twice.
    return ids_to_json(tokenizer_.encode(template_->render(line["messages"], render).text, false));
  }

  std::string decode_line(const Json& line, const std::string& place) const {
    if (!line.is_array()) throw DataError("expected a JSON array of token ids").at(place);
    std::vector<int32_t> ids;
    for (const auto& id : line) {
      if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
        throw DataError("token id " + dump_json(id) + " is not a non-negative integer").at(place);
      ids.push_back(id.get<int32_t>());
    }
    return dump_json(tokenizer_.decode(ids));
  }

 private:
  std::filesystem::path model_directory() const {
    const std::filesystem::path path = options_.model;
    return std::filesystem::is_directory(path) ? path : path.parent_path();
  }

  static std::string ids_to_json(const std::vector<int32_t>& ids) {
    std::string text = "[";
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) text += ',';
      text += std::to_string(ids[i]);
    }
    return text + "]";
  }

  const TokenizeOptions& options_;
  std::string date_;
  text::Tokenizer tokenizer_;
  std::unique_ptr<text::ChatTemplate> template_;
};

}  // namespace

void tokenize(const TokenizeOptions& options, std::ostream& out) {
  LineTokenizer lines(options);
  if (options.text) {
    out << (options.decode ? lines.decode_line(parse_json(*options.text, "TEXT"), "TEXT") : lines.encode_text(*options.text)) << '\n';
    return;
  }
  for_each_json_line(options.file, [&](const Json& value, const std::string& place) {
    try {
      out << (options.decode ? lines.decode_line(value, place) : lines.encode_line(value, place)) << '\n';
    } catch (const Error& error) {
      if (error.code() != ExitCode::kData) throw;
      if (!error.where().empty() && error.where().rfind(place, 0) == 0) throw;
      throw DataError(error.message()).at(place + (error.where().empty() ? "" : " (" + error.where() + ")")).hint(error.hint());
    }
  });
}

}  // namespace graft::app
