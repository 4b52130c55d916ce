// The only file that knows yaml-cpp. Its event interface is used, not YAML::Node, because Node drops duplicate keys, follows aliases and
// forgets whether a scalar was quoted. Works with yaml-cpp 0.7 and 0.8.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>

#include "graft/base/strings.h"
#include "graft/recipe/yaml_text.h"
#include "graft/recipe/yaml_tree.h"

namespace graft::recipe {
namespace {

constexpr size_t kDeepest = 32;
constexpr size_t kMostMembers = 200;  // ten times the longest section

/// Byte columns of yaml-cpp → characters.
class Lines {
 public:
  Lines(const std::string& text, const std::string& origin) : text_(text), origin_(origin) {
    starts_.push_back(0);
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') starts_.push_back(i + 1);
    }
  }

  Place place(const YAML::Mark& mark) const {
    if (mark.line < 0) return {origin_, 1, 1};
    const size_t line = std::min(static_cast<size_t>(mark.line), starts_.size() - 1);
    const size_t begin = starts_[line];
    const size_t end = std::min(begin + static_cast<size_t>(std::max(mark.column, 0)), text_.size());
    // Marks mostly move forward: counting on from the last one keeps a file of one long line linear.
    if (begin != line_begin_ || end < counted_) line_begin_ = begin, counted_ = begin, column_ = 1;
    for (; counted_ < end; ++counted_) column_ += (static_cast<unsigned char>(text_[counted_]) & 0xC0) != 0x80;
    return {origin_, static_cast<int>(line) + 1, column_};
  }

 private:
  const std::string& text_;
  const std::string& origin_;
  std::vector<size_t> starts_;
  mutable size_t line_begin_ = 0, counted_ = 0;
  mutable int column_ = 1;
};

/// Builds the tree from events.
class Builder : public YAML::EventHandler {
 public:
  Builder(const Lines& lines, Problems& problems) : lines_(lines), problems_(problems) {
    root_.place = lines.place(YAML::Mark::null_mark());
  }

  Node take() {
    if (root_.is_null()) root_.kind = Node::Kind::kMap;
    return std::move(root_);
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (started_) {
      throw_problem({lines_.place(mark).text(), "a second YAML document begins here", "", "keep one document: remove the --- line"});
    }
    started_ = true;
    root_.place = lines_.place(mark);
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    Node node;
    node.place = lines_.place(mark);
    if (expects_key()) refuse_key(node.place);
    place_value(std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override { refuse_alias(mark); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    Node node;
    node.kind = Node::Kind::kScalar;
    node.text = value;
    node.quoted = tag == "!";  // yaml-cpp: "?" plain, "!" quoted or block
    node.place = lines_.place(mark);
    if (expects_key()) {
      set_key(node);
    } else {
      place_value(std::move(node));
    }
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    std::string key;
    Place key_place;
    bool has_key = false;
  };

  bool expects_key() const { return !stack_.empty() && stack_.back().node.is_map() && !stack_.back().has_key; }

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != 0)
      throw_problem(
          {lines_.place(mark).text(), "anchors (&name) are not part of the recipe language", "", "write the value out, or use extends"});
  }
  [[noreturn]] void refuse_alias(const YAML::Mark& mark) const {
    throw_problem({lines_.place(mark).text(), "aliases (*name) are not part of the recipe language", "",
                   "write the value out; a glob such as \"*.mlp.*\" needs quotes"});
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw_problem(
          {lines_.place(mark).text(), "tags (!…) are not part of the recipe language", "", "remove the tag; each key has one type"});
    }
  }
  [[noreturn]] static void refuse_key(const Place& place) {
    throw_problem({place.text(), "a key must be a plain name", "", "write  name: value"});
  }

  void set_key(const Node& node) {
    Frame& frame = stack_.back();
    frame.key = node.text;
    frame.key_place = node.place;
    frame.has_key = true;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Node::Kind kind) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    const Place place = lines_.place(mark);
    if (expects_key()) refuse_key(place);
    if (stack_.size() >= kDeepest) throw_problem({place.text(), "nested more than " + std::to_string(kDeepest) + " levels deep", "", ""});
    Frame frame;
    frame.node.kind = kind;
    frame.node.place = place;
    stack_.push_back(std::move(frame));
  }

  void close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    place_value(std::move(node));
  }

  void place_value(Node node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.is_list()) {
      frame.node.items.push_back(std::move(node));
      return;
    }
    frame.has_key = false;
    if (node.is_null()) node.place = frame.key_place;  // yaml-cpp places an absent value at the next token
    const auto same = [&](const Member& member) { return member.key == frame.key; };
    const auto first = std::find_if(frame.node.members.begin(), frame.node.members.end(), same);
    if (first != frame.node.members.end()) {
      problems_.add({frame.key_place.text(), "key \"" + shortened(frame.key) + "\" is given twice; first at " + first->place.text(), "",
                     "keep one of them"});
      return;
    }
    if (frame.node.members.size() >= kMostMembers) {
      throw_problem(
          {frame.key_place.text(), "more than " + std::to_string(kMostMembers) + " keys in one section", "", "is this really a recipe?"});
    }
    frame.node.members.push_back({frame.key, frame.key_place, std::move(node)});
  }

  const Lines& lines_;
  Problems& problems_;
  std::vector<Frame> stack_;
  Node root_;
  bool started_ = false;
};

/// What to do about a syntax error, from yaml-cpp's own words.
std::string syntax_hint(const std::string& message) {
  if (message.find("alias") != std::string::npos || message.find("anchor") != std::string::npos)
    return "aliases are not part of the recipe language; a glob such as \"*.mlp.*\" needs quotes";
  if (message.find("map value") != std::string::npos || message.find("end of map") != std::string::npos) {
    return "check the indentation, and that each line is  key: value; a text that contains ': ' needs quotes";
  }
  return "check indentation, brackets and quotes near this line";
}

}  // namespace

Node parse_yaml(std::string_view text, const std::string& origin, Problems& problems) {
  const std::string cleaned = clean_yaml_text(text, origin);
  const Lines lines(cleaned, origin);
  Builder builder(lines, problems);
  try {
    // yaml-cpp takes the end of the text for the closing quote. A marker of the document's end inside quotes it refuses.
    std::istringstream stream(cleaned + (ends_with(cleaned, "\n") ? "...\n" : "\n...\n"));
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    const bool about_alias = error.msg.find("anchor is not defined") != std::string::npos;
    if (error.msg.find("document indicator") != std::string::npos)
      throw_problem({lines.place(error.mark).text(), "a quote is opened and never closed", "",
                     "close it; each line below it, up to the end of the recipe, would be part of the text"});
    throw_problem({lines.place(error.mark).text(),
                   about_alias ? "aliases (*name) are not part of the recipe language" : "not valid YAML: " + error.msg, "",
                   syntax_hint(error.msg)});
  }
  return builder.take();
}

}  // namespace graft::recipe
