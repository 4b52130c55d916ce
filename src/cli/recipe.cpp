#include <iostream>
#include <memory>

#include "cli/command.h"
#include "graft/base/json.h"
#include "graft/recipe/reference.h"
#include "graft/recipe/shipped.h"

namespace graft::cli {
namespace {

int list_recipes(bool json) {
  Json document = Json::array();
  for (const auto& recipe : recipe::shipped_recipes()) {
    if (json) {
      document.push_back({{"name", recipe.name}, {"headline", recipe.headline}, {"file", recipe.file.string()}});
    } else {
      std::cout << recipe.name << "  " << recipe.headline << '\n';
    }
  }
  if (json) std::cout << dump_json(document, 2) << '\n';
  return 0;
}

/// As it is, or as the one field of a JSON document.
int print_text(const char* field, const std::string& text, bool json) {
  if (json)
    std::cout << dump_json(Json{{field, text}}, 2) << '\n';
  else
    std::cout << text;
  return 0;
}

}  // namespace

void add_recipe(CLI::App& root, Invocation& invocation) {
  CLI::App* group = root.add_subcommand("recipe", "shipped recipes and the meaning of every key");
  group->require_subcommand(0, 1);
  auto& common = invocation.common;

  add_command(*group, invocation, "list", "names of the shipped recipes", [&common] { return list_recipes(common.json); });

  auto name = std::make_shared<std::string>();
  add_command(*group, invocation, "show", "print a shipped recipe ('reference': every key, commented)",
              [name, &common] { return print_text("recipe", recipe::shipped_text(*name), common.json); })
      ->add_option("NAME", *name, "as in `graft recipe list`")
      ->required();

  auto destination = std::make_shared<std::string>();
  CLI::App* copy = add_command(*group, invocation, "copy", "copy a shipped recipe to a file of your own", [name, destination, &common] {
    recipe::copy_shipped(*name, *destination);
    return common.json ? print_text("file", *destination, true) : 0;
  });
  copy->add_option("NAME", *name, "as in `graft recipe list`")->required();
  copy->add_option("FILE", *destination, "new file")->required();

  auto key = std::make_shared<std::string>();
  add_command(*group, invocation, "explain", "meaning, type, default and range of a key, a section, or all keys", [key, &common] {
    return print_text("text", recipe::explain(*key), common.json);
  })->add_option("KEY", *key, "such as adapter.rank or adapter");

  add_command(*group, invocation, "schema", "JSON schema of recipes, for editors", [] {
    std::cout << recipe::json_schema() << '\n';
    return 0;
  });
}

}  // namespace graft::cli
