#include <limits>
#include <optional>
#include <string>

#include "graft/base/error.h"
#include "graft/text/tokenizer/model.h"
#include "graft/text/tokenizer/prefix_index.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

constexpr double kUnknownPenalty = 10.0;  // SentencePiece's kUnkPenalty

/// The segmentation of highest total score (Kudo 2018, arXiv:1804.10959; Viterbi as in SentencePiece's EncodeOptimized).
class Unigram : public Model {
 public:
  Unigram(const Field& field, TokenizerFile* file) : place_(field.path()), byte_fallback_(field.boolean("byte_fallback", false)) {
    field.expect_only({"unk_id", "vocab", "byte_fallback"});
    if (!file->has_scored) field.fail("\"vocab\" is missing: Unigram needs a list of [token, score]");
    double lowest = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < file->scored.size(); ++i) {
      const auto& [token, score] = file->scored[i];
      const auto id = static_cast<int32_t>(i);
      if (vocabulary_.insert(token, id) != Vocabulary::Insertion::kDone)
        field.fail("vocab[" + std::to_string(i) + "]: \"" + token + "\" occurs twice");
      index_.add(token, id);
      scores_.push_back(score);
      lowest = std::min(lowest, score);
    }
    std::string twice;
    index_.build(&twice);
    unknown_score_ = lowest - kUnknownPenalty;
    if (field.has("unk_id")) {
      if (scores_.empty()) field.fail("vocab is empty");
      unknown_ = static_cast<int32_t>(field.at("unk_id").integer(0, static_cast<int64_t>(scores_.size()) - 1));
    }
    file->scored.clear();
  }

  std::unique_ptr<ModelScratch> make_scratch() const override { return std::make_unique<Scratch>(); }
  const Vocabulary& vocabulary() const override { return vocabulary_; }

  void tokenize(std::string_view piece, ModelScratch* model_scratch, std::vector<ModelToken>* tokens) const override {
    auto& best = static_cast<Scratch*>(model_scratch)->best;
    best.assign(piece.size() + 1, {});
    const auto offer = [&](size_t from, size_t to, int32_t id, double score) {
      const double total = best[from].score + score;
      if (best[to].from < 0 || total > best[to].score) best[to] = {total, static_cast<int64_t>(from), id};
    };
    for (size_t begin = 0; begin < piece.size();) {
      const size_t character = character_size(piece[begin]);
      bool single = false;
      index_.prefixes(piece.substr(begin), [&](size_t size, int32_t id) {
        offer(begin, begin + size, id, scores_[static_cast<size_t>(id)]);
        single = single || size == character;
      });
      if (!single) offer(begin, begin + character, unknown_id(), unknown_score_);
      begin += character;
    }
    emit(piece, static_cast<Scratch*>(model_scratch), tokens);
  }

 private:
  struct Node {
    double score = 0;
    int64_t from = -1;  // where the best token that ends here begins
    int32_t id = 0;
  };
  struct Scratch : ModelScratch {
    std::vector<Node> best;
    std::vector<std::pair<size_t, size_t>> path;
  };

  int32_t unknown_id() const {
    if (!unknown_) throw DataError("the text has a character that the vocabulary lacks, and unk_id is not set").at(place_ + ".unk_id");
    return *unknown_;
  }

  /// Walks back along the best path; neighbouring unknown characters become one piece.
  void emit(std::string_view piece, Scratch* scratch, std::vector<ModelToken>* tokens) const {
    auto& path = scratch->path;
    path.clear();
    bool joining = false;
    for (size_t end = piece.size(); end > 0;) {
      const Node& node = scratch->best[end];
      const auto begin = static_cast<size_t>(node.from);
      const bool unknown = unknown_ && node.id == *unknown_;
      if (unknown && joining) {
        path.back().first = begin;
      } else {
        path.emplace_back(begin, end);
      }
      joining = unknown;
      end = begin;
    }
    for (auto part = path.rbegin(); part != path.rend(); ++part) append(piece.substr(part->first, part->second - part->first), tokens);
  }

  void append(std::string_view part, std::vector<ModelToken>* tokens) const {
    const auto size = static_cast<uint32_t>(part.size());
    if (const auto id = vocabulary_.find(part)) return tokens->push_back({*id, size});
    if (byte_fallback_ && append_bytes(part, tokens)) return;
    tokens->push_back({unknown_id(), size});
  }

  bool append_bytes(std::string_view part, std::vector<ModelToken>* tokens) const {
    constexpr const char* kDigits = "0123456789ABCDEF";
    const size_t before = tokens->size();
    for (const char c : part) {
      const auto byte = static_cast<unsigned char>(c);
      const auto id = vocabulary_.find(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">");
      if (!id) {
        tokens->resize(before);
        return false;
      }
      tokens->push_back({*id, 1});
    }
    return true;
  }

  std::string place_;
  bool byte_fallback_;
  Vocabulary vocabulary_;
  PrefixIndex index_;
  std::vector<double> scores_;
  double unknown_score_;
  std::optional<int32_t> unknown_;
};

}  // namespace

std::unique_ptr<const Model> read_unigram(const Field& field, TokenizerFile* file) { return std::make_unique<Unigram>(field, file); }

}  // namespace graft::text::tok
