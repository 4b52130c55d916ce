#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace graft::text {

/// One piece of an encoded text: its id and the bytes [begin, end) of the original text it came from: always whole characters, so that
/// several tokens of one character share its place; what a normalizer or pre-tokenizer put in (a leading "▁") has the place of the
/// character after it. White space belongs to the token (trim_offsets has no effect). Places never run backwards.
struct Token {
  int32_t id;
  uint32_t begin, end;
};

/// A Hugging Face tokenizer.json, read and run without Python. Ids equal those of HF `tokenizers` for the same file.
/// Thread-safe after loading. An unknown component is a DataError with its JSON path. Text is UTF-8 (DataError when it is not) of less
/// than 512 MiB; NUL, byte order marks and lone surrogates' replacements are ordinary characters. Time grows as n log n at worst.
class Tokenizer {
 public:
  /// From a model directory or a tokenizer.json path.
  static Tokenizer load(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// add_special: run the post-processor's template (BOS and the like), as HF's encode(add_special_tokens=…).
  std::vector<int32_t> encode(std::string_view utf8, bool add_special = true) const;
  /// As encode, with the place of each token. Tokens that the post-processor adds have begin == end == 0.
  std::vector<Token> encode_with_offsets(std::string_view utf8, bool add_special = true) const;
  /// Ids outside the vocabulary are a DataError.
  std::string decode(const std::vector<int32_t>& ids, bool skip_special = false) const;

  std::optional<int32_t> token_to_id(std::string_view token) const;
  std::optional<std::string> id_to_token(int32_t id) const;
  bool is_special(int32_t id) const;
  /// One more than the largest id (added tokens counted).
  int32_t vocabulary_size() const;
  /// SHA-256 of tokenizer.json: part of the data cache's key.
  const std::string& hash() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace graft::text
