#include "graft/app/input_lines.h"

#include "graft/app/job_template.h"
#include "graft/base/error.h"

namespace graft::app {
namespace {

std::vector<int32_t> read_ids(const Json& list, const std::string& place) {
  if (!list.is_array()) throw DataError("\"tokens\" is a list of token ids").at(place);
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const auto& id : list) {
    if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() > INT32_MAX) {
      throw DataError("token id " + dump_json(id) + " is not a non-negative integer").at(place);
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

/// Runs `work`; a fault in what it was given (a template's or tokenizer's DataError) gets the input line as its place.
std::vector<int32_t> at_place(const std::string& place, const std::function<std::vector<int32_t>()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.code() != ExitCode::kData) throw;
    throw DataError(error.message())
        .at(error.where().empty() ? place : place + " (" + error.where() + ")")
        .nearest(error.nearest())
        .hint(error.hint());
  }
}

}  // namespace

const text::Tokenizer& Encoder::tokenizer() {
  if (!tokenizer_) tokenizer_ = std::make_unique<text::Tokenizer>(text::Tokenizer::load(model_));
  return *tokenizer_;
}

std::vector<int32_t> Encoder::encode_text(const std::string& text) { return tokenizer().encode(text, /*add_special=*/true); }

std::vector<int32_t> Encoder::encode_messages(const Json& line, bool add_generation_prompt) {
  if (!template_) template_ = std::make_unique<text::ChatTemplate>(load_job_template(model_, adapter_));
  text::RenderOptions options;
  options.add_generation_prompt = add_generation_prompt;
  options.date = date_;
  if (line.contains("tools")) options.tools = line["tools"];
  // A template writes its own BOS; the tokenizer's post-processor would add a second one.
  return tokenizer().encode(template_->render(line["messages"], options).text, /*add_special=*/false);
}

std::vector<int32_t> Encoder::encode(const Json& line, bool add_generation_prompt, const std::string& place) {
  if (!line.is_object()) throw DataError("a line is an object with \"tokens\", \"text\" or \"messages\"").at(place);
  if (line.contains("tokens")) return read_ids(line["tokens"], place);
  for (const char* key : {"text", "prompt"}) {
    if (!line.contains(key)) continue;
    if (!line[key].is_string()) throw DataError("\"" + std::string(key) + "\" is a string").at(place);
    return at_place(place, [&] { return encode_text(line[key].get<std::string>()); });
  }
  if (!line.contains("messages")) {
    throw DataError("nothing to read in this line")
        .at(place)
        .hint("give \"tokens\": [ids], \"text\": \"…\" or \"messages\": [{\"role\", \"content\"}, …]");
  }
  if (!line["messages"].is_array()) throw DataError("\"messages\" is a list of {\"role\", \"content\"}").at(place);
  return at_place(place, [&] { return encode_messages(line, add_generation_prompt); });
}

}  // namespace graft::app
