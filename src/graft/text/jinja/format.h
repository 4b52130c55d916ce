#pragma once

#include <string>
#include <string_view>

#include "graft/text/jinja/runtime.h"

namespace graft::text::jinja {

/// `text % values`: %s %r %a %d %i %u %o %x %X %e %E %f %F %g %G %c %%, flags, width, precision, *, %(name)s.
Value percent_format(Runtime& runtime, const Value& text, const Value& values);

/// text.format(*positional, **keywords): {} {0} {name} {a.b[c]} !r !s !a, format specs of numbers and strings.
Value brace_format(Runtime& runtime, const Value& text, const Arguments& arguments);

}  // namespace graft::text::jinja
