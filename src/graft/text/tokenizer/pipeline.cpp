#include "graft/text/tokenizer/pipeline.h"

#include <algorithm>
#include <limits>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"

namespace graft::text::tok {

/// What one call needs while it runs.
struct Pipeline::Scratch {
  std::vector<Section> sections, inner_sections;
  AlignedText normalized, spare;
  Pieces pieces;
  std::unique_ptr<ModelScratch> model;
  std::vector<ModelToken> tokens;
};

Pipeline::ScratchPool::ScratchPool() = default;
Pipeline::ScratchPool::~ScratchPool() = default;

/// Takes a scratch from the pool and gives it back, so that caches stay warm and concurrent calls never share one.
class Pipeline::BorrowedScratch {
 public:
  explicit BorrowedScratch(const Pipeline& pipeline) : pool_(*pipeline.pool_) {
    {
      const std::lock_guard lock(pool_.mutex);
      if (!pool_.idle.empty()) {
        scratch_ = std::move(pool_.idle.back());
        pool_.idle.pop_back();
      }
    }
    if (scratch_ == nullptr) {
      scratch_ = std::make_unique<Scratch>();
      scratch_->model = pipeline.model_->make_scratch();
    }
  }
  BorrowedScratch(const BorrowedScratch&) = delete;
  BorrowedScratch& operator=(const BorrowedScratch&) = delete;
  ~BorrowedScratch() {
    if (scratch_->normalized.size() > kLargeText) return;  // do not keep the memory of a huge text
    const std::lock_guard lock(pool_.mutex);
    pool_.idle.push_back(std::move(scratch_));
  }
  Scratch* get() { return scratch_.get(); }

 private:
  static constexpr uint32_t kLargeText = 4U << 20;
  ScratchPool& pool_;
  std::unique_ptr<Scratch> scratch_;
};

Pipeline::Pipeline(TokenizerFile file) : pool_(std::make_unique<ScratchPool>()) {
  const std::string origin = file.origin;
  const Json components = std::move(file.components);
  static const Json kNull;
  const auto section = [&](const char* name) {
    const auto found = components.find(name);
    return Field(found == components.end() ? kNull : *found, origin + ": " + name);
  };
  Field(components, origin)
      .expect_only(
          {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"});
  if (components.contains("version")) section("version").choice("version", {"1.0"});
  if (section("model").is_null()) throw DataError("\"model\" is missing: this is not a tokenizer.json").at(origin);
  if (!section("added_tokens").is_null()) section("added_tokens").items();  // the reader took the list; anything else is of the wrong type
  if (!section("truncation").is_null() || !section("padding").is_null()) {
    log::warning(origin + ": its truncation and padding are ignored; graft cuts and pads by the recipe");
  }
  normalizer_ = section("normalizer").is_null() ? nullptr : read_normalizer(section("normalizer"));
  const bool raw_bytes = can_read_raw_bytes(section("model"), file);
  pre_tokenization_ = read_pre_tokenization(section("pre_tokenizer"), raw_bytes);
  model_ = read_model(section("model"), &file, raw_bytes && pre_tokenization_.ends_with_bytes);
  post_processor_ = read_post_processor(section("post_processor"));
  decoder_ = read_decoder(section("decoder"));
  added_.load(
      file.added_tokens, model_->vocabulary(),
      [this](const std::string& content) {
        if (normalizer_ == nullptr) return content;
        AlignedText text, spare;
        text.assign(content, 0, false);
        normalizer_->normalize(&text, &spare);
        return text.bytes();
      },
      origin);
  check_post_processor(origin);
}

void Pipeline::check_post_processor(const std::string& origin) const {
  for (const auto* ids : {&post_processor_.prefix, &post_processor_.suffix}) {
    for (const int32_t id : *ids) {
      if (!id_to_token(id))
        throw DataError("it adds the id " + std::to_string(id) + ", which no token has").at(origin + ": post_processor");
    }
  }
}

template <typename Emit>
void Pipeline::run_pieces(Scratch* scratch, Emit emit) const {
  Pieces& pieces = scratch->pieces;
  for (const auto& step : pre_tokenization_.steps) step->split(&pieces);
  for (const Range range : pieces.ranges) {
    scratch->tokens.clear();
    model_->tokenize(pieces.text.view(range), scratch->model.get(), &scratch->tokens);
    uint32_t at = range.begin;
    for (const ModelToken token : scratch->tokens) {
      const uint32_t end = std::min(at + token.size, range.end);
      emit(token.id, pieces.text, Range{at, end});
      at = end;
    }
  }
}

template <typename Emit>
void Pipeline::run_section(std::string_view part, uint32_t offset, bool tracked, Scratch* scratch, Emit emit) const {
  Pieces& pieces = scratch->pieces;
  const bool searches = added_.searches_normalized();
  AlignedText& text = searches ? scratch->normalized : pieces.text;
  text.assign(part, offset, tracked);
  if (normalizer_ != nullptr) normalizer_->normalize(&text, &scratch->spare);
  if (text.size() == 0) return;
  if (!searches) {
    pieces.ranges.assign(1, Range{0, text.size()});
    return run_pieces(scratch, emit);
  }
  added_.split_normalized(text.bytes(), &scratch->inner_sections);
  for (const Section section : scratch->inner_sections) {
    if (section.range.begin == section.range.end) continue;
    if (section.id >= 0) {
      emit(section.id, text, section.range);
      continue;
    }
    pieces.text.clear(tracked);
    pieces.text.append(text, section.range);
    pieces.ranges.assign(1, Range{0, section.range.size()});
    run_pieces(scratch, emit);
  }
}

template <typename Emit>
void Pipeline::run(std::string_view utf8, bool with_offsets, Emit emit) const {
  if (utf8.size() >= std::numeric_limits<uint32_t>::max() / 8)
    throw DataError("a text of " + std::to_string(utf8.size()) + " bytes is too long to encode at once");
  if (!is_valid_utf8(utf8)) throw DataError("the text is not valid UTF-8").hint("convert the data to UTF-8 first");
  BorrowedScratch borrowed(*this);
  Scratch* scratch = borrowed.get();
  const bool tracked = with_offsets || pre_tokenization_.needs_origins;
  added_.split_original(utf8, &scratch->sections);
  AlignedText original;
  for (const Section section : scratch->sections) {
    const std::string_view part = utf8.substr(section.range.begin, section.range.size());
    if (section.id < 0) {
      run_section(part, section.range.begin, tracked, scratch, emit);
    } else if (!part.empty()) {
      original.assign(with_offsets ? part : std::string_view(), section.range.begin, with_offsets);
      emit(section.id, original, Range{0, original.size()});
    }
  }
}

std::vector<int32_t> Pipeline::encode(std::string_view utf8, bool add_special) const {
  std::vector<int32_t> ids;
  ids.reserve(utf8.size() / 3 + 8);
  if (add_special) ids = post_processor_.prefix;
  run(utf8, false, [&ids](int32_t id, const AlignedText&, Range) { ids.push_back(id); });
  if (add_special) ids.insert(ids.end(), post_processor_.suffix.begin(), post_processor_.suffix.end());
  return ids;
}

std::vector<Token> Pipeline::encode_with_offsets(std::string_view utf8, bool add_special) const {
  std::vector<Token> tokens;
  const auto add = [&tokens](const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) tokens.push_back({id, 0, 0});
  };
  if (add_special) add(post_processor_.prefix);
  uint32_t last_end = 0;
  run(utf8, true, [&](int32_t id, const AlignedText& text, Range range) {
    // A token that stands for no bytes of its own lies where the one before it ended.
    const Origin origin = range.begin == range.end ? Origin{last_end, last_end} : text.origin(range);
    tokens.push_back({id, origin.begin, origin.end});
    last_end = origin.end;
  });
  if (add_special) add(post_processor_.suffix);
  return tokens;
}

std::string Pipeline::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (const AddedToken* added = added_.token(ids[i])) {
      if (!skip_special || !added->special) tokens.push_back(added_.decoded(ids[i]));
    } else if (const auto token = model_->vocabulary().token(ids[i])) {
      tokens.emplace_back(*token);
    } else {
      throw DataError("there is no token with the id " + std::to_string(ids[i]))
          .at("position " + std::to_string(i))
          .hint("the largest id is " + std::to_string(vocabulary_size() - 1) + "; do the ids come from another tokenizer?");
    }
  }
  if (decoder_ == nullptr) return join(tokens, " ");
  decoder_->decode(&tokens);
  return join(tokens, "");
}

std::optional<int32_t> Pipeline::token_to_id(std::string_view token) const {
  const auto added = added_.find(token);
  return added ? added : model_->vocabulary().find(token);
}

std::optional<std::string> Pipeline::id_to_token(int32_t id) const {
  if (const AddedToken* added = added_.token(id)) return added->content;
  const auto token = model_->vocabulary().token(id);
  return token ? std::optional(std::string(*token)) : std::nullopt;
}

bool Pipeline::is_special(int32_t id) const {
  const AddedToken* added = added_.token(id);
  return added != nullptr && added->special;
}

int32_t Pipeline::vocabulary_size() const { return std::max(model_->vocabulary().id_limit(), added_.id_limit()); }

}  // namespace graft::text::tok
