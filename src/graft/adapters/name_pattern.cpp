#include "graft/adapters/name_pattern.h"

#include "graft/base/error.h"
#include "graft/base/strings.h"
#include "graft/io/regex.h"

namespace graft::detail {
namespace {

constexpr const char* kRegexPrefix = "regex:";

NamePattern::Kind kind_of(const std::string& text) {
  if (starts_with(text, kRegexPrefix)) return NamePattern::Kind::kRegex;
  return text.find_first_of("*?[") != std::string::npos ? NamePattern::Kind::kGlob : NamePattern::Kind::kLeaf;
}

}  // namespace

NamePattern::NamePattern(std::string text, const char* field) : text_(std::move(text)), field_(field), kind_(kind_of(text_)) {
  if (text_.empty() || text_ == kRegexPrefix)
    throw UsageError(std::string(field) + ": empty name pattern").hint("name a module, or leave the entry out");
}

bool NamePattern::matches(const std::string& path) const {
  switch (kind_) {
    case Kind::kRegex:
      return io::regex_full_match(text_.substr(std::string(kRegexPrefix).size()), path, field_);
    case Kind::kGlob:
      return glob_match(text_, path);
    case Kind::kLeaf:
      break;
  }
  return path == text_ || ends_with(path, "." + text_);
}

bool NamePattern::reaches(const std::string& path) const {
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1))
    if (matches(path.substr(0, dot))) return true;
  return matches(path);
}

std::string leaf_of(const std::string& path) {
  const auto dot = path.rfind('.');
  return dot == std::string::npos ? path : path.substr(dot + 1);
}

}  // namespace graft::detail
