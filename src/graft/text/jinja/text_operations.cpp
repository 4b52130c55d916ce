#include <algorithm>
#include <cstring>

#include "graft/text/jinja/methods.h"
#include "graft/text/jinja/unicode.h"

// The work behind str's methods and the filters of the same purpose.
namespace graft::text::jinja {
namespace {

std::vector<std::string> split_at_space(const std::string& text, Int limit, bool from_right) {
  std::vector<std::string> parts;
  std::string_view rest = from_right ? strip_right(text) : strip_left(text);
  if (!from_right) {
    while (!rest.empty() && limit-- != 0) {
      size_t end = 0, behind = 0;
      while (end < rest.size() && !is_space(next_code_point(rest, behind))) end = behind;
      parts.emplace_back(rest.substr(0, end));
      rest = strip_left(rest.substr(end));
    }
    if (!rest.empty()) parts.emplace_back(rest);
    return parts;
  }
  while (!rest.empty() && limit-- != 0) {
    size_t begin = rest.size();
    while (begin > 0) {
      size_t place = begin;
      do --place;
      while (place > 0 && (static_cast<unsigned char>(rest[place]) & 0xC0) == 0x80);
      size_t at = place;
      if (is_space(next_code_point(rest, at))) break;
      begin = place;
    }
    parts.emplace_back(rest.substr(begin));
    rest = strip_right(rest.substr(0, begin));
  }
  if (!rest.empty()) parts.emplace_back(rest);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

/// memmem is linear; std::string::find is not.
size_t find_from(const std::string& text, const std::string& wanted, size_t from) {
  if (from > text.size()) return std::string::npos;
  const void* found = memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
  return found == nullptr ? std::string::npos : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace

std::vector<std::string> split_text(Runtime& runtime, const std::string& text, const std::string* separator, Int limit, bool from_right) {
  runtime.charge(1 + text.size() / 16);
  if (separator == nullptr) return split_at_space(text, limit, from_right);
  if (separator->empty()) throw Fault("empty separator");
  std::vector<size_t> places;
  if (from_right) {
    runtime.charge(text.size() / 64 * std::min<size_t>(separator->size(), 64));
    size_t end = text.size();
    while (limit != 0 && end >= separator->size()) {
      const size_t found = text.rfind(*separator, end - separator->size());
      if (found == std::string::npos) break;
      places.push_back(found);
      end = found;
      --limit;
    }
    std::reverse(places.begin(), places.end());
  } else {
    for (size_t at = find_from(text, *separator, 0); at != std::string::npos && limit != 0;
         at = find_from(text, *separator, at + separator->size())) {
      places.push_back(at);
      --limit;
    }
  }
  runtime.charge(places.size());
  std::vector<std::string> parts;
  size_t begin = 0;
  for (const size_t place : places) {
    parts.push_back(text.substr(begin, place - begin));
    begin = place + separator->size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string> split_lines(const std::string& text, bool keep_ends) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t c = next_code_point(text, at);
    const bool is_break = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!is_break) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replace_text(Runtime& runtime, const std::string& text, const std::string& old, const std::string& replacement, Int count) {
  runtime.charge(1 + text.size() / 16);
  std::string out;
  size_t begin = 0;
  if (old.empty()) {
    size_t at = 0;
    for (; count != 0; --count) {
      out += replacement;
      runtime.check_size(out.size());
      if (at >= text.size()) break;
      const size_t from = at;
      next_code_point(text, at);
      out.append(text, from, at - from);
    }
    begin = at;
  } else {
    for (size_t at = find_from(text, old, 0); at != std::string::npos && count != 0; at = find_from(text, old, begin)) {
      out.append(text, begin, at - begin);
      out += replacement;
      runtime.check_size(out.size());
      begin = at + old.size();
      --count;
    }
  }
  if (begin < text.size()) out.append(text, begin, std::string::npos);
  runtime.charge_bytes(out.size());
  return out;
}

std::string strip_characters(const std::string& text, const std::string& characters, bool left, bool right) {
  std::u32string set;
  for (size_t at = 0; at < characters.size();) set += next_code_point(characters, at);
  const auto is_in = [&](char32_t c) { return set.find(c) != std::u32string::npos; };
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t behind = begin;
    if (!is_in(next_code_point(text, behind))) break;
    begin = behind;
  }
  while (right && end > begin) {
    size_t place = end;
    do --place;
    while (place > begin && (static_cast<unsigned char>(text[place]) & 0xC0) == 0x80);
    size_t at = place;
    if (!is_in(next_code_point(text, at))) break;
    end = place;
  }
  return text.substr(begin, end - begin);
}

std::string justify(Runtime& runtime, const String& text, Int width, const std::string& fill, char side) {
  const Int missing = width - Int(text.length);
  if (missing <= 0) return text.text;
  runtime.check_size(missing > Int(runtime.limits().output) ? runtime.limits().output + 1 : static_cast<size_t>(missing) * fill.size());
  // CPython puts the odd space of center() to the left only when the width is odd too.
  const Int left = side == 'r' ? missing : side == 'l' ? 0 : missing / 2 + (missing & width & 1);
  std::string out;
  for (Int i = 0; i < left; ++i) out += fill;
  out += text.text;
  for (Int i = left; i < missing; ++i) out += fill;
  return out;
}

}  // namespace graft::text::jinja
