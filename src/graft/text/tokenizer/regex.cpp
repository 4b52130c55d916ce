#define PCRE2_CODE_UNIT_WIDTH 8
#include "graft/text/tokenizer/regex.h"

#include <pcre2.h>
#include <time.h>

#include <algorithm>
#include <bitset>

#include "graft/base/error.h"
#include "graft/text/tokenizer/regex_syntax.h"
#include "graft/text/tokenizer/unicode.h"

namespace graft::text::tok {
namespace {

constexpr uint32_t kStepLimit = 20'000'000;      // backtracking steps for one start of a match
constexpr size_t kFirstWindow = 256;             // starts tried before the clock is looked at
constexpr size_t kJitStackLimit = 64U << 20;     // bytes; grows on demand
constexpr uint32_t kMatchesPerClockCheck = 512;  // a look costs as much as a few matches

double processor_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// What a thread needs to run any pattern.
struct ThreadState {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, kJitStackLimit, nullptr);
  std::string stand_in;

  ThreadState() {
    pcre2_set_match_limit(context, kStepLimit);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ThreadState(const ThreadState&) = delete;
  ThreadState& operator=(const ThreadState&) = delete;
  ~ThreadState() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

ThreadState& thread_state() {
  thread_local ThreadState state;
  return state;
}

/// Characters of three bytes that have a stand-in: looked up once per character, so a bit each.
const std::bitset<0x10000>& newer_characters() {
  static const std::bitset<0x10000> set = [] {
    std::bitset<0x10000> bits;
    for (char32_t code = 0x80; code < 0x10000; ++code) bits[code] = regex_stand_in(code) != code;
    return bits;
  }();
  return set;
}

/// The text with stand-ins for characters that the regex library may be too old for; the text itself when there is none.
std::string_view with_stand_ins(std::string_view text, std::string* buffer) {
  if (std::none_of(text.begin(), text.end(), [](char byte) { return static_cast<unsigned char>(byte) >= 0x80; })) return text;
  const auto& newer = newer_characters();
  size_t copied = 0;
  for (size_t i = 0; i < text.size();) {
    const auto [code, size] = decode_character(text.data() + i);
    if (code >= 0x80 && (code < 0x10000 ? newer[code] : regex_stand_in(code) != code)) {
      if (copied == 0) buffer->clear();
      buffer->append(text.substr(copied, i - copied));
      append_utf8(buffer, regex_stand_in(code));
      copied = i + size;
    }
    i += size;
  }
  if (copied == 0) return text;
  buffer->append(text.substr(copied));
  return *buffer;
}

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

/// Whether what the pattern matches depends on properties of characters. Where it only names them, a stand-in would be another one.
bool asks_for_properties(std::string_view translated) {
  for (size_t at = translated.find('\\'); at != std::string_view::npos && at + 1 < translated.size(); at = translated.find('\\', at + 2)) {
    if (std::string_view("pPbBXwWdD").find(translated[at + 1]) != std::string_view::npos) return true;
  }
  for (size_t at = translated.find("(?"); at != std::string_view::npos; at = translated.find("(?", at + 2)) {
    const size_t end = translated.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", at + 2);  // flags: (?i: …
    if (translated.substr(at + 2, end - at - 2).find('i') != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

struct Regex::Compiled {
  pcre2_code* code = nullptr;
  bool needs_stand_ins = false;
  std::string place;
  ~Compiled() { pcre2_code_free(code); }

  [[noreturn]] void fail(const std::string& why) const {
    throw DataError("the regular expression gave up on this text: " + why)
        .at(place)
        .hint("the pattern backtracks without end; a tokenizer's pattern should match in one pass");
  }
};

Regex::Regex(std::string_view pattern, const std::string& place) : compiled_(std::make_unique<Compiled>()) {
  compiled_->place = place;
  const std::string translated = translate_regex(pattern, place);
  compiled_->needs_stand_ins = asks_for_properties(translated);
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context, 200);
  int code = 0;
  PCRE2_SIZE offset = 0;
  // ^ and $ match at every line, as in Oniguruma's own syntax.
  constexpr uint32_t kOptions =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_USE_OFFSET_LIMIT | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C;
  compiled_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), kOptions, &code, &offset, context);
  pcre2_compile_context_free(context);
  if (compiled_->code == nullptr) {
    throw DataError("not a regular expression: " + error_text(code) + " (in \"" + std::string(pattern.substr(0, 200)) + "\")").at(place);
  }
  pcre2_jit_compile(compiled_->code, PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter runs
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

void Regex::find_all(std::string_view text, std::vector<Range>* matches) const {
  matches->clear();
  ThreadState& thread = thread_state();
  const std::string_view subject = compiled_->needs_stand_ins ? with_stand_ins(text, &thread.stand_in) : text;
  const auto* bytes = reinterpret_cast<PCRE2_SPTR>(subject.data());
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(thread.data);
  double deadline = -1;  // set at the first look at the clock
  const auto check_clock = [&] {
    const double now = processor_seconds();
    if (deadline < 0) deadline = now + 10 + 2e-6 * static_cast<double>(text.size());
    if (now > deadline) compiled_->fail("processor time ran out");
  };

  size_t window = kFirstWindow;
  size_t searched = 0;  // no match begins before this byte
  bool after_match = false;
  size_t last_end = 0;
  while (searched <= subject.size()) {
    const size_t limit = std::min(subject.size(), searched + window);
    pcre2_set_offset_limit(thread.context, limit);
    const int result = pcre2_match(compiled_->code, bytes, subject.size(), searched, PCRE2_NO_UTF_CHECK, thread.data, thread.context);
    if (result == PCRE2_ERROR_NOMATCH) {
      if (limit == subject.size()) break;
      searched = limit + 1;
      while (searched < subject.size() && is_continuation_byte(subject[searched])) ++searched;
      window = std::min<size_t>(window * 2, 1 << 16);
      check_clock();
      continue;
    }
    if (result < 0) compiled_->fail(error_text(result));
    const auto begin = static_cast<uint32_t>(found[0]);
    const auto end = static_cast<uint32_t>(found[1]);
    if (begin > end) compiled_->fail("\\K in a lookaround");
    if (begin == end && after_match && end == last_end) {  // step over one character
      searched = end + (end < subject.size() ? character_size(subject[end]) : 1);
      continue;
    }
    matches->push_back({begin, end});
    searched = last_end = end;
    after_match = true;
    window = kFirstWindow;
    if (matches->size() % kMatchesPerClockCheck == 0) check_clock();
  }
}

}  // namespace graft::text::tok
