#include <algorithm>
#include <regex>

#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/recipe/problems.h"
#include "graft/recipe/reference.h"
#include "graft/recipe/scalars.h"
#include "graft/recipe/schema.h"
#include "graft/recipe/shipped.h"
#include "graft/recipe/yaml_tree.h"
#include "recipe/recipe_support.h"

using graft::Json;
using namespace graft::recipe;

namespace {

/// YAML as an editor's validator sees it: YAML 1.2 core types.
Json to_json(const Node& node) {
  if (node.is_null()) return nullptr;
  if (node.is_list()) {
    Json list = Json::array();
    for (const Node& item : node.items) list.push_back(to_json(item));
    return list;
  }
  if (node.is_map()) {
    Json map = Json::object();
    for (const Member& member : node.members) map[member.key] = to_json(member.value);
    return map;
  }
  if (node.quoted) return node.text;
  if (looks_like_bool(node.text)) return node.text[0] == 't';
  if (!looks_like_number(node.text)) return node.text;
  const bool integer = node.text.find_first_of(".eE") == std::string::npos;
  return integer ? Json(std::stoll(node.text)) : Json(std::stod(node.text));
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "integer") return value.is_number_integer();
  REQUIRE(type == "number");
  return value.is_number();
}

bool valid(const Json& schema, const Json& value);

bool valid_type(const Json& type, const Json& value) {
  if (type.is_string()) return has_type(value, type);
  return std::any_of(type.begin(), type.end(), [&](const Json& one) { return has_type(value, one); });
}

bool valid_object(const Json& schema, const Json& value) {
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) return false;
  }
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [name, member] : value.items()) {
    if (properties.contains(name)) {
      if (!valid(properties.at(name), member)) return false;
    } else if (schema.value("additionalProperties", true) == false) {
      return false;
    }
  }
  return true;
}

bool valid_number(const Json& schema, double value) {
  return (!schema.contains("minimum") || value >= schema.at("minimum")) && (!schema.contains("maximum") || value <= schema.at("maximum")) &&
         (!schema.contains("exclusiveMinimum") || value > schema.at("exclusiveMinimum")) &&
         (!schema.contains("exclusiveMaximum") || value < schema.at("exclusiveMaximum"));
}

bool valid_list(const Json& schema, const Json& value) {
  if (value.size() < schema.value("minItems", size_t{0}) || value.size() > schema.value("maxItems", size_t{1000})) return false;
  return !schema.contains("items") ||
         std::all_of(value.begin(), value.end(), [&](const Json& item) { return valid(schema.at("items"), item); });
}

/// The part of JSON Schema 2020-12 that the recipe schema uses, straight from the specification.
bool valid(const Json& schema, const Json& value) {
  const auto holds = [&](const Json& one) { return valid(one, value); };
  if (schema.contains("type") && !valid_type(schema.at("type"), value)) return false;
  if (schema.contains("const") && schema.at("const") != value) return false;
  if (schema.contains("enum") && std::find(schema.at("enum").begin(), schema.at("enum").end(), value) == schema.at("enum").end())
    return false;
  if (schema.contains("not") && holds(schema.at("not"))) return false;
  if (schema.contains("anyOf") && std::none_of(schema.at("anyOf").begin(), schema.at("anyOf").end(), holds)) return false;
  if (schema.contains("oneOf") && std::count_if(schema.at("oneOf").begin(), schema.at("oneOf").end(), holds) != 1) return false;
  if (schema.contains("if") && !holds(schema.at("if")) && !holds(schema.at("else"))) return false;
  if (schema.contains("pattern") && value.is_string() &&
      !std::regex_search(value.get<std::string>(), std::regex(schema.at("pattern").get<std::string>())))
    return false;
  if (schema.contains("minLength") && value.is_string() && value.get<std::string>().size() < schema.at("minLength")) return false;
  if (value.is_object() && !valid_object(schema, value)) return false;
  if (value.is_array() && !valid_list(schema, value)) return false;
  return !value.is_number() || valid_number(schema, value);
}

bool schema_accepts(const std::string& text) {
  static const Json schema = graft::parse_json(json_schema(), "schema");
  Problems problems;
  return valid(schema, to_json(parse_yaml(text, "recipe.yaml", problems)));
}

}  // namespace

TEST_CASE("the JSON schema is closed at every level", "[recipe]") {
  const Json schema = graft::parse_json(json_schema(), "schema");
  REQUIRE(schema.at("$schema") == "https://json-schema.org/draft/2020-12/schema");
  int objects = 0;
  const auto visit = [&](auto&& self, const Json& node) -> void {
    if (node.is_object() && node.value("type", Json()) == "object") {
      REQUIRE(node.at("additionalProperties") == false);
      ++objects;
    }
    for (const auto& child : node) {
      if (child.is_structured()) self(self, child);
    }
  };
  visit(visit, schema);
  REQUIRE(objects > 15);
}

TEST_CASE("what graft accepts, the JSON schema accepts", "[recipe]") {
  REQUIRE(schema_accepts(kSmallest));
  REQUIRE(schema_accepts(reference_recipe()));
  REQUIRE(schema_accepts(
      resolved_yaml(parse(kSmallest, {"data.train_on={roles: [user]}", "memory.checkpointing={every: 3}", "data.eval={split: 0.013}"}))));
  for (const ShippedRecipe& shipped : shipped_recipes()) {
    INFO(shipped.name);
    REQUIRE(schema_accepts(shipped_text(shipped.name)) != graft::starts_with(shipped.name, "base/"));  // a base is a part
  }
  for (const char* line :
       {"name: 42\n", "memory: {budget: 22GiB, loss_chunk: 4Ki}\n", "adapter: {target: mlp, alpha: null}\n",
        "batch: {tokens_per_step: 64k}\n", "eval: {every: 1 epoch}\n", "log: {every: 10}\n", "runtime: {device: cuda:1, ranks: auto}\n"}) {
    INFO(line);
    REQUIRE(schema_accepts(kSmallest + line));
    REQUIRE_NOTHROW(parse(kSmallest + line));
  }
}

TEST_CASE("what the table forbids, the JSON schema forbids", "[recipe]") {
  for (const char* line :
       {"adapter: {lora_r: 8}\n", "adapter: {rank: 0}\n", "adapter: {rank: x}\n", "adapter: {rank: 1.5}\n", "adapter: {dropout: 1}\n",
        "quant: {type: int8}\n", "task: dpo\n", "seed: null\n", "seed: \"4\"\n", "memory: {offload_activations: 1}\n",
        "log: {every: 0.03}\n", "data2: {}\n", "memory: {checkpointing: {evry: 2}}\n", "export: [{format: gguf}]\n"}) {
    INFO(line);
    REQUIRE_FALSE(schema_accepts(kSmallest + line));
    error_of(kSmallest + line);
  }
  REQUIRE_FALSE(schema_accepts(replaced(kSmallest, "schema: 1\n", "")));
  REQUIRE_FALSE(schema_accepts(replaced(kSmallest, "{steps: 5}", "{steps: 5, epochs: 1}")));
  REQUIRE_FALSE(schema_accepts(replaced(kSmallest, "{steps: 5}", "{}")));
  REQUIRE_FALSE(schema_accepts(replaced(kSmallest, "{path: d.jsonl}", "{format: text}")));
  REQUIRE(schema_accepts("schema: 1\nextends: base/lora-sft\nmodel: {path: x}\n"));
}
