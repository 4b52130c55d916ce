#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/tokenizer.h"
#include "graft/text/tokenizer/added_tokens.h"
#include "graft/text/tokenizer/decoder.h"
#include "graft/text/tokenizer/file.h"
#include "graft/text/tokenizer/model.h"
#include "graft/text/tokenizer/normalizer.h"
#include "graft/text/tokenizer/post_processor.h"
#include "graft/text/tokenizer/pre_tokenizer.h"

namespace graft::text::tok {

/// All parts of a tokenizer.json in the order in which a text passes them: added tokens, normalizer, added tokens with
/// normalized=true, pre-tokenizer, model, post-processor; decoder on the way back. See Tokenizer for the contract.
class Pipeline {
 public:
  explicit Pipeline(TokenizerFile file);

  std::vector<int32_t> encode(std::string_view utf8, bool add_special) const;
  std::vector<Token> encode_with_offsets(std::string_view utf8, bool add_special) const;
  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const;

  std::optional<int32_t> token_to_id(std::string_view token) const;
  std::optional<std::string> id_to_token(int32_t id) const;
  bool is_special(int32_t id) const;
  int32_t vocabulary_size() const;

 private:
  struct Scratch;
  struct ScratchPool {
    std::mutex mutex;
    std::vector<std::unique_ptr<Scratch>> idle;
    ScratchPool();
    ~ScratchPool();
  };
  class BorrowedScratch;

  void check_post_processor(const std::string& origin) const;
  template <typename Emit>
  void run(std::string_view utf8, bool with_offsets, Emit emit) const;
  template <typename Emit>
  void run_section(std::string_view part, uint32_t offset, bool tracked, Scratch* scratch, Emit emit) const;
  template <typename Emit>
  void run_pieces(Scratch* scratch, Emit emit) const;

  std::unique_ptr<const Normalizer> normalizer_;
  PreTokenization pre_tokenization_;
  std::unique_ptr<const Model> model_;
  PostProcessor post_processor_;
  std::unique_ptr<const Decoder> decoder_;
  AddedTokens added_;
  std::unique_ptr<ScratchPool> pool_;
};

}  // namespace graft::text::tok
