#include "graft/text/chat_template.h"

#include <optional>
#include <utility>

#include "graft/base/error.h"
#include "graft/base/sha256.h"
#include "graft/text/chat_messages.h"
#include "graft/text/jinja/evaluator.h"
#include "graft/text/jinja/globals.h"
#include "graft/text/jinja/json_text.h"
#include "graft/text/jinja/parser.h"

namespace graft::text {
namespace {

struct Parsed {
  Parsed(std::string_view text, const std::string& origin) : source(text), tree(jinja::parse_template(text, origin)) {}
  std::string source;
  jinja::Template tree;
};

void check_extra(const Json& extra) {
  if (!extra.is_object()) throw DataError("the template's further variables must be an object");
  for (const char* own : {"messages", "tools", "documents", "add_generation_prompt"}) {
    if (extra.contains(own)) throw DataError(std::string("'") + own + "' can not be one of the template's further variables");
  }
}

}  // namespace

struct ChatTemplate::State {
  State(std::string_view source, std::map<std::string, std::string> tokens, const std::string& origin)
      : standard(source, origin), special_tokens(std::move(tokens)) {}
  Parsed standard;
  std::optional<Parsed> for_tools;  ///< a template of its own, used when there are tools
  const Parsed& for_options(const RenderOptions& options) const { return for_tools && !options.tools.is_null() ? *for_tools : standard; }
  std::map<std::string, std::string> special_tokens;
};

ChatTemplate::ChatTemplate(std::string_view source, std::map<std::string, std::string> special_tokens, const std::string& origin)
    : state_(std::make_unique<State>(source, std::move(special_tokens), origin)) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

bool ChatTemplate::has_generation_blocks(const RenderOptions& options) const { return state_->for_options(options).tree.has_generation; }
const std::string& ChatTemplate::source() const { return state_->standard.source; }

std::string ChatTemplate::hash() const {
  const Json for_tools = state_->for_tools ? Json(sha256(state_->for_tools->source)) : Json();
  return sha256(dump_json(Json{{"source", sha256(source())}, {"for_tools", for_tools}, {"special_tokens", state_->special_tokens}}));
}

bool ChatTemplate::uses_date() const {
  const auto asks = [](const Parsed& parsed) { return parsed.source.find("strftime_now") != std::string::npos; };
  return asks(state_->standard) || (state_->for_tools && asks(*state_->for_tools));
}

void ChatTemplate::set_tool_template(std::string_view source, const std::string& origin) { state_->for_tools.emplace(source, origin); }

Rendered ChatTemplate::render(const Json& messages, const RenderOptions& options) const {
  check_messages(messages);
  if (!jinja::is_date(options.date)) {
    throw DataError("the template's date '" + options.date + "' is not a day written YYYY-MM-DD").at("data.template_date");
  }
  check_extra(options.extra);
  const Parsed& parsed = state_->for_options(options);
  jinja::Runtime runtime(jinja::Limits{});
  runtime.date = options.date;
  std::vector<std::pair<std::string, jinja::Value>> context;
  try {
    // As in transformers, a variable of the caller's wins over a special token of the same name.
    for (const auto& [name, token] : state_->special_tokens) context.emplace_back(name, runtime.string(token));
    context.emplace_back("messages", jinja::from_json(runtime, plain_messages(messages)));
    context.emplace_back("tools", jinja::from_json(runtime, options.tools));
    context.emplace_back("documents", jinja::from_json(runtime, options.documents));
    context.emplace_back("add_generation_prompt", jinja::Value(options.add_generation_prompt));
    for (const auto& [name, value] : options.extra.items()) context.emplace_back(name, jinja::from_json(runtime, value));
  } catch (const jinja::Fault& fault) {
    throw DataError(std::string("the conversation can not be given to the chat template: ") + fault.what()).at("messages");
  }
  jinja::Evaluator evaluator(parsed.tree, runtime);
  jinja::Output output = evaluator.run(context);
  Rendered rendered;
  rendered.text = std::move(output.text);
  for (const auto& mark : output.marks) rendered.generation.push_back({mark.begin, mark.end});
  rendered.generation_lost = evaluator.generated_blocks() != output.marks.size();
  return rendered;
}

}  // namespace graft::text
