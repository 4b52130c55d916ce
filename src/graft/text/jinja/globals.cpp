#include "graft/text/jinja/globals.h"

#include <cstdio>
#include <ctime>
#include <map>

#include "graft/text/jinja/arguments.h"
#include "graft/text/jinja/operators.h"

namespace graft::text::jinja {
namespace {

constexpr Int kMaximumRange = 100'000;  // jinja2.sandbox.MAX_RANGE

Value range(Runtime& runtime, Arguments& arguments) {
  const Values& given = arguments.positional;
  if (given.empty() || given.size() > 3 || !arguments.keywords.empty()) throw Fault("range() takes 1 to 3 positional arguments");
  constexpr Int kFar = Int{1} << 62;
  const auto bound = [&](size_t place) {
    if (given[place].is(Type::kUndefined)) use_of_undefined(given[place]);
    const Int value = as_index(given[place], "range()'s argument");
    if (value > kFar || value < -kFar) throw Fault("range(): the bound is too large");
    return value;
  };
  const Int start = given.size() > 1 ? bound(0) : Int{0};
  const Int stop = bound(given.size() > 1 ? 1 : 0);
  const Int step = given.size() > 2 ? bound(2) : Int{1};
  if (step == 0) throw Fault("range() arg 3 must not be zero");
  Value made = runtime.range(start, stop, step);
  if (made.as<Range>().size() > kMaximumRange) throw Fault("range too big: more than 100000 items");
  return made;
}

Value dict(Runtime& runtime, Arguments& arguments) {
  auto made = runtime.dict();
  if (arguments.positional.size() > 1) throw Fault("dict expected at most 1 argument");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Type::kDict)) {
      for (const auto& [key, value] : source.as<Dict>().items) made->set(key, value);
    } else {
      for (const Value& pair : iterate(runtime, source)) {
        const Values sides = iterate(runtime, pair);
        if (sides.size() != 2) throw Fault("dict: an element has length " + std::to_string(sides.size()) + "; 2 is required");
        made->set(sides[0], sides[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.keywords) made->set(runtime.string(name), value);
  runtime.charge_values(made->items.size());
  return Value(std::move(made));
}

Value dict_from_keys(Runtime& runtime, Arguments& arguments) {
  const Bound bound("fromkeys", arguments, {"iterable", "value"}, 1);
  auto made = runtime.dict();
  for (const Value& key : iterate(runtime, bound[0])) made->set(key, bound.value(1));
  return Value(std::move(made));
}

Value make_namespace(Runtime& runtime, Arguments& arguments) {
  auto* made = runtime.keep<Namespace>(runtime.meter());
  const Value initial = dict(runtime, arguments);
  for (const auto& [key, value] : initial.as<Dict>().items) {
    if (!key.is(Type::kString)) throw Fault("namespace: attribute names must be str");
    set_namespace_attribute(*made, key.text(), value);
  }
  return Runtime::borrowed(made);
}

/// cycler(…): .next(), .reset(), .current live as functions over shared state.
Value cycler(Runtime& runtime, Arguments& arguments) {
  if (arguments.positional.empty()) throw Fault("at least one item has to be provided");
  auto* made = runtime.keep<Namespace>(runtime.meter());
  const auto items = std::make_shared<Values>(arguments.positional);
  const auto place = std::make_shared<size_t>(0);
  const int depth = runtime.tuple(*items).depth();
  made->attributes.emplace_back("current", (*items)[0]);
  made->attributes.emplace_back("next", runtime.function(
                                            "next",
                                            [made, items, place](Runtime&, Arguments&) {
                                              Value current = (*items)[*place];
                                              *place = (*place + 1) % items->size();
                                              made->attributes[0].second = (*items)[*place];
                                              return current;
                                            },
                                            depth));
  made->attributes.emplace_back("reset", runtime.function(
                                             "reset",
                                             [made, items, place](Runtime&, Arguments&) {
                                               *place = 0;
                                               made->attributes[0].second = (*items)[0];
                                               return Value();
                                             },
                                             depth));
  return Runtime::borrowed(made);
}

Value joiner(Runtime& runtime, Arguments& arguments) {
  const Bound bound("joiner", arguments, {"sep"});
  const Value separator = bound.value(0, runtime.string(", "));
  const auto used = std::make_shared<bool>(false);
  return runtime.function(
      "joiner",
      [separator, used](Runtime& inner, Arguments&) {
        const bool is_first = !*used;
        *used = true;
        return is_first ? inner.string("") : separator;
      },
      separator.depth());
}

Value raise_exception(Runtime& runtime, Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"}, 1);
  throw Refusal(to_text(runtime, bound[0]));
}

Value strftime_now(Runtime& runtime, Arguments& arguments) {
  const Bound bound("strftime_now", arguments, {"format"}, 1);
  return runtime.string(format_date(runtime.date, bound.text(0)));
}

bool read_date(const std::string& date, std::tm* out) {
  int year = 0, month = 0, day = 0, used = 0;
  if (date.size() != 10 || std::sscanf(date.c_str(), "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || used != 10) return false;
  *out = {};
  out->tm_year = year - 1900;
  out->tm_mon = month - 1;
  out->tm_mday = day;
  const std::tm asked = *out;
  timegm(out);  // fills the day of the week and of the year
  return year >= 1 && asked.tm_mon == out->tm_mon && asked.tm_mday == out->tm_mday;
}

}  // namespace

void set_namespace_attribute(Namespace& space, const std::string& name, const Value& value) {
  if (!name.empty() && name[0] == '_') {
    throw Fault("chat templates cannot store underscore-prefixed attributes on a namespace, but got '" + name + "'; rename it");
  }
  for (auto& [known, content] : space.attributes) {
    if (known == name) {
      content = value;
      return;
    }
  }
  space.attributes.emplace_back(name, value);
}

bool is_date(const std::string& date) {
  std::tm unused{};
  return read_date(date, &unused);
}

std::string format_date(const std::string& date, const std::string& format) {
  std::tm time{};
  if (!read_date(date, &time)) throw Fault("the date '" + date + "' is not YYYY-MM-DD");
  if (format.size() > 4096) throw Fault("strftime_now: the format is too long");
  std::string adjusted;  // Python answers these itself: microseconds, and nothing for a time without zone
  for (size_t i = 0; i < format.size(); ++i) {
    const char next = format[i] == '%' && i + 1 < format.size() ? format[i + 1] : '\0';
    if (next == 'f') adjusted += "000000";
    if (next == '%') adjusted += "%%";
    if (next == 'f' || next == 'z' || next == 'Z' || next == '%') {
      ++i;
    } else {
      adjusted += format[i];
    }
  }
  if (adjusted.empty()) return "";
  std::string out(adjusted.size() * 64 + 64, '\0');
  out.resize(std::strftime(out.data(), out.size(), adjusted.c_str(), &time));
  return out;
}

bool find_global(Runtime& runtime, const std::string& name, Value* result) {
  using Global = Value (*)(Runtime&, Arguments&);
  static const std::map<std::string, Global> table = {{"range", range},
                                                      {"dict", dict},
                                                      {"namespace", make_namespace},
                                                      {"cycler", cycler},
                                                      {"joiner", joiner},
                                                      {"raise_exception", raise_exception},
                                                      {"strftime_now", strftime_now}};
  const auto found = table.find(name);
  if (found == table.end()) return false;
  *result = runtime.function(name, found->second);
  if (name == "dict") result->mutable_as<Function>().attributes.emplace_back("fromkeys", runtime.function("fromkeys", dict_from_keys));
  return true;
}

}  // namespace graft::text::jinja
