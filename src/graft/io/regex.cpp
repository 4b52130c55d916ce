#include "graft/io/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <unordered_map>

#include "graft/base/error.h"

namespace graft::io {
namespace {

// A sensible pattern over a module path needs some hundred steps; this many take about 10 ms.
constexpr uint32_t kMatchLimit = 1'000'000;
constexpr uint32_t kHeapLimitKib = 64 * 1024;
constexpr size_t kCachedPatterns = 16'384;

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};
using Code = std::unique_ptr<pcre2_code, Free>;
using MatchData = std::unique_ptr<pcre2_match_data, Free>;

std::string message_of(int error) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

/// Python's {,n} as {0,n}: PCRE2 before 10.43 takes it for the characters themselves.
std::string with_lower_bounds(const std::string& pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    out += c;
    if (c == '\\') {
      if (i + 1 < pattern.size()) out += pattern[++i];
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
      // A bracket that comes first is a member of the class.
      if (pattern.compare(i + 1, 1, "^") == 0) out += pattern[++i];
      if (pattern.compare(i + 1, 1, "]") == 0) out += pattern[++i];
    } else if (c == '{' && pattern.compare(i + 1, 1, ",") == 0) {
      const size_t end = pattern.find_first_not_of("0123456789", i + 2);
      if (end != std::string::npos && pattern[end] == '}') out += '0';
    }
  }
  return out;
}

Code compile(const std::string& python, const char* field) {
  const std::string pattern = with_lower_bounds(python);
  const std::unique_ptr<pcre2_compile_context, Free> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C,
                          &error, &offset, context.get()));
  if (!code)
    throw DataError("regular expression \"" + python.substr(0, 200) + "\" is malformed at character " + std::to_string(offset) + ": " +
                    message_of(error))
        .at(std::string("adapter_config.json: ") + field)
        .hint("correct the pattern; entries are regular expressions as in Python");
  return code;
}

const pcre2_code* compiled(const std::string& pattern, const char* field) {
  thread_local std::unordered_map<std::string, Code> cache;
  if (const auto found = cache.find(pattern); found != cache.end()) return found->second.get();
  if (cache.size() >= kCachedPatterns) cache.clear();
  return cache.emplace(pattern, compile(pattern, field)).first->second.get();
}

bool run(const std::string& pattern, std::string_view text, uint32_t options, const char* field, RegexGroup* group) {
  const pcre2_code* code = compiled(pattern, field);
  thread_local const std::unique_ptr<pcre2_match_context, Free> context = [] {
    std::unique_ptr<pcre2_match_context, Free> made(pcre2_match_context_create(nullptr));
    pcre2_set_match_limit(made.get(), kMatchLimit);
    pcre2_set_heap_limit(made.get(), kHeapLimitKib);
    return made;
  }();
  const MatchData data(pcre2_match_data_create_from_pattern(code, nullptr));
  const int result = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, options, data.get(), context.get());
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result < 0)
    throw DataError("regular expression \"" + pattern.substr(0, 200) + "\" fails on \"" + std::string(text.substr(0, 200)) +
                    "\": " + message_of(result))
        .at(std::string("adapter_config.json: ") + field)
        .hint("simplify the pattern: nested repetitions can take exponential time");
  if (group != nullptr) {
    PCRE2_UCHAR* value = nullptr;
    PCRE2_SIZE size = 0;
    if (pcre2_substring_get_byname(data.get(), reinterpret_cast<PCRE2_SPTR>(group->name), &value, &size) == 0) {
      group->value.assign(reinterpret_cast<const char*>(value), size);
      pcre2_substring_free(value);
    }
  }
  return true;
}

}  // namespace

bool regex_full_match(const std::string& pattern, std::string_view text, const char* field) {
  return run(pattern, text, PCRE2_ANCHORED | PCRE2_ENDANCHORED, field, nullptr);
}

bool regex_match(const std::string& pattern, std::string_view text, const char* field, RegexGroup* group) {
  return run(pattern, text, PCRE2_ANCHORED, field, group);
}

}  // namespace graft::io
