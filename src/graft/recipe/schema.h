#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "graft/recipe/recipe.h"

/// The one table of the recipe language. Parser, `explain`, JSON schema, reference recipe, resolved recipe and hash all walk it; no key is
/// listed anywhere else. Defaults are the initialisers in recipe.h, reached through each row's field.
namespace graft::recipe {

enum class Kind {
  kSection,      ///< a map; has no field
  kBool,         ///< true | false
  kInteger,      ///< 64-bit
  kCount,        ///< integer, also 50M or 4Ki
  kBytes,        ///< 22GiB
  kNumber,       ///< finite double
  kText,         ///< free text
  kChoice,       ///< one of `choices`
  kPath,         ///< text with ${name} and ${env:NAME} filled in
  kDevice,       ///< auto | cpu | cuda | cuda:N
  kTemplate,     ///< model | chatml | file:PATH
  kDate,         ///< YYYY-MM-DD
  kFrequency,    ///< 200 steps | 3% | 1 epoch
  kShare,        ///< 10% | number
  kTextList,     ///< list of text; of `choices` when there are any
  kIntegerList,  ///< list of integers
  kNumberList,   ///< list of numbers
  kItems,        ///< list of sections whose keys are the rows "path[].…"
};

/// Where a row's value lives. std::monostate: nowhere (sections; keys that only steer the reading).
using Field = std::variant<std::monostate, bool*, int64_t*, double*, std::string*, std::optional<int64_t>*, std::optional<double>*,
                           Frequency*, Share*, std::vector<std::string>*, std::vector<int64_t>*, std::vector<double>*,
                           std::vector<DataSource>*, std::vector<AdapterOverride>*, std::vector<ExportItem>*>;

/// One row. Chainable: Key("adapter.rank", Kind::kInteger, field, "doc").range(1, 4096).
struct Key {
  Key(std::string key_path, Kind key_kind, Field (*key_field)(void*), std::string text)
      : path(std::move(key_path)), kind(key_kind), field(key_field), doc(std::move(text)) {}

  std::string path;  ///< "data.train[].limit"
  Kind kind;
  Field (*field)(void*);  ///< owner → field; the owner is the Recipe*, or the element for rows with [] in the path
  std::string doc;        ///< one line: meaning, consequence, unit
  std::string unset;      ///< the word for "no value" ("null", "auto"); empty: a value is needed
  std::vector<std::string> choices;
  std::vector<std::string> later;              ///< known values (or "true") that this version does not have yet
  std::map<std::string, std::string> aliases;  ///< other spellings → the choice
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  bool least_open = false, most_open = false;  ///< the bound itself is excluded
  bool required = false;
  bool changes_result = true;          ///< part of the identity hash
  bool word_as_list = false;           ///< kTextList: one bare word stands for a list of it
  bool form = false;                   ///< another form of its parent: `train_on: {roles: […]}` instead of `train_on: assistant`
  std::string items_of;                ///< kItems: the rows of this list are used instead of its own
  std::string example;                 ///< required keys: the value in the reference recipe
  std::vector<std::string> elsewhere;  ///< what other trainers call it

  Key& nullable(std::string word = "null") { return unset = std::move(word), *this; }
  Key& one_of(std::vector<std::string> values) { return choices = std::move(values), *this; }
  Key& not_yet(std::vector<std::string> values) { return later = std::move(values), *this; }
  Key& spelled(std::map<std::string, std::string> other) { return aliases = std::move(other), *this; }
  Key& range(double low, double high = std::numeric_limits<double>::infinity()) { return least = low, most = high, *this; }
  Key& above(double low, double high = std::numeric_limits<double>::infinity()) {
    return least = low, most = high, least_open = true, *this;
  }
  Key& below(double high) { return most = high, most_open = true, *this; }
  Key& needed(std::string shown) { return required = true, example = std::move(shown), *this; }
  Key& outside_identity() { return changes_result = false, *this; }
  Key& or_word() { return word_as_list = true, *this; }
  Key& other_form() { return form = true, *this; }
  Key& like(std::string list) { return items_of = std::move(list), *this; }
  Key& also(std::vector<std::string> names) { return elsewhere = std::move(names), *this; }

  std::string leaf() const;    ///< "limit"
  std::string parent() const;  ///< "data.train[]"; "" at the top
  bool is_section() const { return kind == Kind::kSection; }
  bool has_field() const { return field != nullptr; }
};

/// All rows, in the order of the reference recipe, sections before their keys.
const std::vector<Key>& schema_table();

/// The row of a path; indices count as []: "data.train.0.limit" finds "data.train[].limit". nullptr when there is none.
const Key* find_key(const std::string& path);

/// Rows directly below a section or list element ("adapter", "data.train[]", "" for the top), in order.
std::vector<const Key*> children_of(const std::string& parent);

/// The prefix of an element's rows: "data.eval" → "data.train[]".
std::string element_path(const Key& list);

/// The closest existing key to one that does not exist: a sibling, a name other trainers use, or the same name elsewhere; else "".
std::string nearest_key(const std::string& parent, const std::string& leaf);

/// The field's value as flow YAML; `key.unset` when it has none.
std::string format_field(const Key& key, const Field& field);

/// "integer from 1 to 4096", "lora | full", …
std::string describe_type(const Key& key);

/// The default as text: the field of a fresh owner.
std::string default_text(const Key& key);

/// Calls visit(void* element) on each element of an kItems field.
void for_each_element(const Field& field, const std::function<void(void*)>& visit);

}  // namespace graft::recipe
