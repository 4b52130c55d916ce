#pragma once

#include <optional>
#include <ostream>
#include <string>

namespace graft::app {

struct TokenizeOptions {
  std::string model;                ///< model directory or tokenizer.json
  std::string file;                 ///< JSONL; "" when text is given
  std::optional<std::string> text;  ///< one text, or one JSON array with decode
  std::string template_date;        ///< what a template's strftime_now sees; "": today
  bool no_special = false;
  bool decode = false;
};

/// `graft tokenize`: one line of output per line of input. Encoding writes a JSON array of ids, decoding a JSON string.
/// A bad line is a DataError with file:line. No LibTorch.
void tokenize(const TokenizeOptions& options, std::ostream& out);

}  // namespace graft::app
