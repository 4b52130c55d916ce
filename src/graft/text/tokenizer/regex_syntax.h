#pragma once

#include <string>
#include <string_view>

namespace graft::text::tok {

/// Oniguruma's regular expressions (its own syntax, UTF-8) in PCRE2's words. They differ in what \s, \w, \h, \v and \b mean, in
/// nested and intersected classes ([a&&b]), in quantifiers ("{1,3}+" repeats, it is not possessive; "{3}?" is optional), in
/// the letter for "dot matches newline" and in property names. Source: doc/RE of github.com/kkos/oniguruma.
/// DataError at `place` for what has no equivalent (absent operator, callouts, extended layout) and for syntax errors.
std::string translate_regex(std::string_view pattern, const std::string& place);

}  // namespace graft::text::tok
