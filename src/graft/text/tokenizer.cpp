#include "graft/text/tokenizer.h"

#include <utility>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/base/sha256.h"
#include "graft/base/strings.h"
#include "graft/text/tokenizer/pipeline.h"

namespace graft::text {

struct Tokenizer::State {
  tok::Pipeline pipeline;
  std::string hash;
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  const bool directory = std::filesystem::is_directory(path);
  const std::filesystem::path file = directory ? path / "tokenizer.json" : path;
  if (directory && !std::filesystem::exists(file)) {
    throw DataError("the model directory has no tokenizer.json")
        .at(path.string())
        .hint("graft reads the fast tokenizer's file only; transformers' save_pretrained of a fast tokenizer writes it");
  }
  const std::string text = read_file(file);
  auto state = std::make_unique<State>(State{tok::Pipeline(tok::read_tokenizer_file(text, file.string())), sha256(text)});
  return Tokenizer(std::move(state));
}

std::vector<int32_t> Tokenizer::encode(std::string_view utf8, bool add_special) const { return state_->pipeline.encode(utf8, add_special); }

std::vector<Token> Tokenizer::encode_with_offsets(std::string_view utf8, bool add_special) const {
  return state_->pipeline.encode_with_offsets(utf8, add_special);
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  return state_->pipeline.decode(ids, skip_special);
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const { return state_->pipeline.token_to_id(token); }

std::optional<std::string> Tokenizer::id_to_token(int32_t id) const { return state_->pipeline.id_to_token(id); }

bool Tokenizer::is_special(int32_t id) const { return state_->pipeline.is_special(id); }

int32_t Tokenizer::vocabulary_size() const { return state_->pipeline.vocabulary_size(); }

const std::string& Tokenizer::hash() const { return state_->hash; }

}  // namespace graft::text
