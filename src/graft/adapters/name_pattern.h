#pragma once

#include <string>
#include <vector>

namespace graft::detail {

/// A pattern over module paths: a leaf name as in PEFT ("q_proj": the path is, or ends at a dot with, that name), a glob over the whole
/// path (when it holds *, ? or [), or "regex:…" over the whole path.
class NamePattern {
 public:
  enum class Kind { kLeaf, kGlob, kRegex };

  /// UsageError for an empty pattern; `field` is the option it came from.
  NamePattern(std::string text, const char* field);

  bool matches(const std::string& path) const;
  /// Whether it matches the module or one around it: a container's name stands for what is inside it.
  bool reaches(const std::string& path) const;
  Kind kind() const { return kind_; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  const char* field_;
  Kind kind_;
};

/// "c" of "a.b.c".
std::string leaf_of(const std::string& path);

}  // namespace graft::detail
