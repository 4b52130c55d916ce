#include <cmath>

#include "graft/base/json.h"
#include "graft/recipe/reference.h"
#include "graft/recipe/schema.h"

namespace graft::recipe {
namespace {

Json any_of(std::vector<Json> forms) { return forms.size() == 1 ? forms.front() : Json{{"anyOf", forms}}; }

Json words(const std::vector<std::string>& values) { return Json{{"enum", values}}; }

Json pattern(const char* expression) { return Json{{"type", "string"}, {"pattern", expression}}; }

Json ranged(const Key& key, const char* type) {
  Json schema = {{"type", type}};
  if (std::isfinite(key.least)) schema[key.least_open ? "exclusiveMinimum" : "minimum"] = key.least;
  if (std::isfinite(key.most)) schema[key.most_open ? "exclusiveMaximum" : "maximum"] = key.most;
  return schema;
}

std::vector<std::string> spellings(const Key& key) {
  std::vector<std::string> values = key.choices;
  for (const auto& [spelling, choice] : key.aliases) values.push_back(spelling);
  return values;
}

Json section_schema(const std::string& parent);

Json list_of(Json items) { return Json{{"type", "array"}, {"items", std::move(items)}}; }

/// Text may be written as a number (a run may be called 42).
Json text_schema() { return Json{{"type", Json::array({"string", "number", "boolean"})}, {"minLength", 1}}; }

Json value_schema(const Key& key) {
  switch (key.kind) {
    case Kind::kSection:
      return section_schema(key.path);
    case Kind::kBool:
      return key.later.empty() ? Json{{"type", "boolean"}} : Json{{"const", false}};
    case Kind::kInteger:
      return ranged(key, "integer");
    case Kind::kCount:
      return any_of({ranged(key, "integer"), pattern(R"(^[0-9]+(\.[0-9]+)? *([kKMBGT]|[KMG]i)$)")});
    case Kind::kBytes:
      return any_of({ranged(key, "integer"), pattern(R"(^[0-9]+(\.[0-9]+)? *([kKMGT]B|[KMGT]iB|B)$)")});
    case Kind::kNumber:
      return ranged(key, "number");
    case Kind::kText:
    case Kind::kPath:
      return text_schema();
    case Kind::kChoice:
      return words(spellings(key));
    case Kind::kDevice:
      return pattern("^(auto|cpu|cuda(:[0-9]+)?)$");
    case Kind::kTemplate:
      return pattern("^(model|chatml|file:.+)$");
    case Kind::kDate:
      return pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}$");
    case Kind::kFrequency:
      return any_of({Json{{"type", "integer"}, {"minimum", 0}}, pattern(R"(^[0-9]+(\.[0-9]*)?(%| *steps?| *epochs?)$)")});
    case Kind::kShare:
      return any_of({ranged(key, "number"), pattern(R"(^[0-9]+(\.[0-9]*)?%$)")});
    case Kind::kTextList: {
      Json list = list_of(key.choices.empty() ? text_schema() : words(spellings(key)));
      return key.word_as_list ? any_of({text_schema(), list}) : list;
    }
    case Kind::kIntegerList:
      return list_of(ranged(key, "integer"));
    case Kind::kNumberList:
      return Json{{"type", "array"}, {"items", ranged(key, "number")}, {"minItems", 2}, {"maxItems", 2}};
    case Kind::kItems: {
      Json list = list_of(section_schema(element_path(key)));
      if (key.required || !key.unset.empty()) list["minItems"] = 1;
      return list;
    }
  }
  return Json::object();
}

Json key_schema(const Key& key) {
  std::vector<Json> forms = {value_schema(key)};
  if (key.unset == "null") forms.push_back({{"type", "null"}});
  if (!key.unset.empty() && key.unset != "null") forms.push_back({{"const", key.unset}});
  for (const Key* form : children_of(key.path)) {
    if (!form->form) continue;
    const Json properties = {{form->leaf(), key_schema(*form)}};
    forms.push_back(
        {{"type", "object"}, {"properties", properties}, {"required", Json::array({form->leaf()})}, {"additionalProperties", false}});
  }
  Json schema = {{"description", key.doc}};
  const std::string standard = default_text(key);
  if (!key.required && !standard.empty() && !key.is_section()) schema["description"] = key.doc + " Default: " + standard;
  schema.update(any_of(forms));
  return schema;
}

Json section_schema(const std::string& parent) {
  Json properties = Json::object();
  Json required = Json::array();
  const bool element = parent.find("[]") != std::string::npos;
  for (const Key* key : children_of(parent)) {
    properties[key->leaf()] = key_schema(*key);
    if (key->required && (element || key->path == "schema")) required.push_back(key->leaf());
  }
  Json schema = {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = required;
  return schema;
}

/// What must be there when no base recipe can bring it.
Json complete_by_itself() {
  Json top = Json::array();
  Json properties = Json::object();
  for (const Key& key : schema_table()) {
    if (!key.required || key.path.find("[]") != std::string::npos) continue;
    if (key.parent().empty()) {
      top.push_back(key.path);
      continue;
    }
    if (!properties.contains(key.parent())) {
      top.push_back(key.parent());
      properties[key.parent()] = {{"required", Json::array()}};
    }
    properties[key.parent()]["required"].push_back(key.leaf());
  }
  top.push_back("train");
  Json lengths = Json::array();
  for (const char* leaf : {"steps", "epochs", "tokens"}) {
    const Json present = {{leaf, {{"not", {{"type", "null"}}}}}};
    lengths.push_back({{"required", Json::array({leaf})}, {"properties", present}});
  }
  properties["train"] = {{"oneOf", lengths}};
  return {{"required", top}, {"properties", properties}};
}

}  // namespace

std::string json_schema() {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "graft recipe"}};
  schema.update(section_schema(""));
  const Json extends_something = {{"extends", {{"type", "string"}}}};
  schema["if"] = {{"required", Json::array({"extends"})}, {"properties", extends_something}};
  schema["then"] = Json::object();
  schema["else"] = complete_by_itself();
  return dump_json(schema, 2) + "\n";
}

}  // namespace graft::recipe
