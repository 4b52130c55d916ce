#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graft/text/tokenizer/aligned_text.h"

namespace graft::text::tok {

/// A regular expression in Oniguruma's syntax (what HF `tokenizers` uses), run by PCRE2 with its JIT. The translation is
/// regex_syntax.h's. Thread-safe: everything that changes while matching belongs to the thread.
class Regex {
 public:
  /// DataError at `place` (a JSON path) when the pattern is not a regular expression.
  Regex(std::string_view pattern, const std::string& place);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// All matches, from left to right, that do not overlap; an empty match right after a match is skipped (as onig's find_iter).
  /// `text` is well-formed UTF-8. A pattern that backtracks without end on this text is a DataError: matching has a step limit
  /// per start and a limit of processor time per text (10 s and 2 µs a byte, hundreds of times what real patterns need).
  void find_all(std::string_view text, std::vector<Range>* matches) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace graft::text::tok
