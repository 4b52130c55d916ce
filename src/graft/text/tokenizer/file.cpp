#include "graft/text/tokenizer/file.h"

#include <algorithm>
#include <optional>

#include "graft/base/error.h"
#include "graft/text/tokenizer/field.h"
#include "graft/text/tokenizer/json_tree.h"

namespace graft::text::tok {
namespace {

AddedToken read_added_token(const Field& field) {
  AddedToken token;
  token.content = field.string("content");
  token.id = static_cast<int32_t>(field.at("id").integer(0, kLargestId));
  token.single_word = field.boolean("single_word", false);
  token.lstrip = field.boolean("lstrip", false);
  token.rstrip = field.boolean("rstrip", false);
  token.special = field.boolean("special", false);
  token.normalized = field.boolean("normalized", !token.special);
  return token;
}

/// Receives the parser's events and sends them where they belong.
class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(std::string_view text, TokenizerFile* file) : text_(text), file_(file), tree_(file->origin), element_(file->origin) {}

  bool null() override { return scalar(Json()); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override {
    if (mode_ == Mode::kVocabulary) fail("the id is negative", vocabulary_path());
    if (mode_ == Mode::kScored && inside_) return score(static_cast<double>(value));
    return scalar(value);
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (mode_ == Mode::kVocabulary) return vocabulary_entry(value);
    if (mode_ == Mode::kScored && inside_) return score(static_cast<double>(value));
    return scalar(value);
  }
  bool number_float(number_float_t value, const string_t&) override {
    if (mode_ == Mode::kScored && inside_) return score(value);
    return scalar(value);
  }
  bool binary(binary_t&) override { return false; }

  bool string(string_t& value) override {
    if (mode_ == Mode::kMerges) {
      if (!inside_) return file_->merges.add_line(value), true;
      if (parts_.size() == 2) fail("a merge has two parts", merge_path());
      parts_.push_back(std::move(value));
      return true;
    }
    if (mode_ == Mode::kScored && inside_ && parts_.empty()) return parts_.push_back(std::move(value)), true;
    return scalar(std::move(value));
  }

  bool key(string_t& name) override {
    if (mode_ == Mode::kVocabulary) {
      key_ = std::move(name);
    } else if (mode_ == Mode::kAdded) {
      element_.key(std::move(name));
    } else {
      key_ = name;
      tree_.key(std::move(name));
      if (tree_.depth() == 1) top_ = key_;
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (mode_ == Mode::kAdded) return element_.open(Json::object()), true;
    if (mode_ == Mode::kTree && at_model("vocab")) return enter(Mode::kVocabulary, &file_->has_vocabulary);
    if (mode_ != Mode::kTree) wrong_type("an object");
    tree_.open(Json::object());
    return true;
  }

  bool end_object() override {
    if (mode_ == Mode::kVocabulary) return leave();
    if (mode_ == Mode::kAdded) return close_element();
    return tree_.close(), true;
  }

  bool start_array(std::size_t) override {
    if (mode_ == Mode::kAdded) {
      if (element_.depth() == 0) fail("expected an object, not a list", added_path());
      return element_.open(Json::array()), true;
    }
    if (mode_ == Mode::kTree && at_model("merges")) return enter(Mode::kMerges, &file_->has_merges);
    if (mode_ == Mode::kTree && at_model("vocab")) return enter(Mode::kScored, &file_->has_scored);
    if (mode_ == Mode::kTree && tree_.depth() == 1 && top_ == "added_tokens") return enter(Mode::kAdded, nullptr);
    if ((mode_ == Mode::kMerges || mode_ == Mode::kScored) && !inside_) return parts_.clear(), inside_ = true;
    if (mode_ != Mode::kTree) wrong_type("a list");
    tree_.open(Json::array());
    return true;
  }

  bool end_array() override {
    if (mode_ == Mode::kAdded && element_.depth() > 0) return element_.close(), true;
    if (mode_ == Mode::kTree) return tree_.close(), true;
    if (!inside_) return leave();
    inside_ = false;
    if (mode_ == Mode::kMerges) {
      if (parts_.size() != 2) fail("a merge has two parts", merge_path());
      file_->merges.add_pair(parts_[0], parts_[1]);
    } else if (parts_.size() != 1 || !score_) {
      fail("expected [token, score]", scored_path());
    } else {
      file_->scored.emplace_back(std::move(parts_[0]), *score_);
      score_.reset();
    }
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& error) override {
    const size_t at = std::min(byte == 0 ? 0 : byte - 1, text_.size());
    const auto line = std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at), '\n') + 1;
    const size_t newline = text_.substr(0, at).rfind('\n');
    const size_t column = newline == std::string_view::npos ? at + 1 : at - newline;
    std::string what = error.what();
    if (const auto colon = what.find(": "); colon != std::string::npos) what = what.substr(colon + 2);
    throw DataError("not valid JSON: " + what.substr(0, 300)).at(file_->origin + ":" + std::to_string(line) + ":" + std::to_string(column));
  }

  Json take() { return tree_.take(); }

 private:
  enum class Mode { kTree, kVocabulary, kScored, kMerges, kAdded };

  bool at_model(const char* member) const { return tree_.depth() == 2 && top_ == "model" && key_ == member; }

  bool enter(Mode mode, bool* seen) {
    mode_ = mode;
    if (seen != nullptr) *seen = true;
    tree_.value(Json());
    return true;
  }
  bool leave() {
    mode_ = Mode::kTree;
    return true;
  }

  bool scalar(Json value) {
    if (mode_ == Mode::kAdded && element_.depth() > 0) return element_.value(std::move(value)), true;
    if (mode_ != Mode::kTree) wrong_type(value.type_name());
    tree_.value(std::move(value));
    return true;
  }

  bool vocabulary_entry(uint64_t id) {
    if (id > static_cast<uint64_t>(kLargestId)) fail("the id " + std::to_string(id) + " is too large", vocabulary_path());
    const auto result = file_->vocabulary.insert(key_, static_cast<int32_t>(id));
    if (result == Vocabulary::Insertion::kTokenTwice) fail("the token occurs twice", vocabulary_path());
    if (result == Vocabulary::Insertion::kIdTwice) {
      fail("the id " + std::to_string(id) + " is also that of \"" + std::string(*file_->vocabulary.token(static_cast<int32_t>(id))) + "\"",
           vocabulary_path());
    }
    return true;
  }

  bool score(double value) {
    if (parts_.size() != 1 || score_) fail("expected [token, score]", scored_path());
    score_ = value;
    return true;
  }

  bool close_element() {
    element_.close();
    if (element_.depth() > 0) return true;
    const Json value = element_.take();
    file_->added_tokens.push_back(read_added_token(Field(value, file_->origin + ": " + added_path())));
    return true;
  }

  [[noreturn]] void fail(const std::string& why, const std::string& path) const { throw DataError(why).at(file_->origin + ": " + path); }
  [[noreturn]] void wrong_type(const std::string& found) const {
    switch (mode_) {
      case Mode::kVocabulary:
        fail("expected an id, not " + found, vocabulary_path());
      case Mode::kScored:
        fail("expected [token, score], not " + found, scored_path());
      case Mode::kMerges:
        fail("expected a merge, not " + found, merge_path());
      default:
        fail("expected an object, not " + found, added_path());
    }
  }
  std::string vocabulary_path() const { return "model.vocab[\"" + key_.substr(0, 100) + "\"]"; }
  std::string scored_path() const { return "model.vocab[" + std::to_string(file_->scored.size()) + "]"; }
  std::string merge_path() const { return "model.merges[" + std::to_string(file_->merges.size()) + "]"; }
  std::string added_path() const { return "added_tokens[" + std::to_string(file_->added_tokens.size()) + "]"; }

  std::string_view text_;
  TokenizerFile* file_;
  JsonTree tree_, element_;
  Mode mode_ = Mode::kTree;
  std::string top_, key_;
  bool inside_ = false;             ///< within one merge or one [token, score]
  std::vector<std::string> parts_;  ///< its strings
  std::optional<double> score_;
};

}  // namespace

void MergeList::add_line(std::string_view line) {
  if (line.substr(0, 8) == "#version") return;  // the first line of a merges.txt, kept by some converters
  const size_t space = line.find(' ');
  const bool two = space != std::string_view::npos && line.find(' ', space + 1) == std::string_view::npos;
  if (two) return add_pair(line.substr(0, space), line.substr(space + 1));
  entries_.push_back({static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(line.size()), kMalformed});
  bytes_.append(line);
}

void MergeList::add_pair(std::string_view left, std::string_view right) {
  entries_.push_back({static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(left.size()), static_cast<uint32_t>(right.size())});
  bytes_.append(left).append(right);
}

std::pair<std::string_view, std::string_view> MergeList::operator[](size_t i) const {
  const Entry& entry = entries_[i];
  const std::string_view all = bytes_;
  if (entry.right == kMalformed) return {all.substr(entry.offset, entry.left), {}};
  return {all.substr(entry.offset, entry.left), all.substr(entry.offset + entry.left, entry.right)};
}

TokenizerFile read_tokenizer_file(std::string_view text, const std::string& origin) {
  TokenizerFile file;
  file.origin = origin;
  Reader reader(text, &file);
  Json::sax_parse(text.begin(), text.end(), &reader);
  file.components = reader.take();
  if (!file.components.is_object()) throw DataError("tokenizer.json is not an object").at(origin);
  return file;
}

}  // namespace graft::text::tok
