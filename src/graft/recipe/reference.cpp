#include "graft/recipe/reference.h"

#include "graft/recipe/schema.h"
#include "graft/recipe/write.h"

namespace graft::recipe {
namespace {

/// A recipe of defaults, with the examples of required keys in their place.
Recipe example_recipe() {
  Recipe recipe;
  const auto fill = [](const Key& key, void* owner) {
    const Field field = key.field(owner);
    if (auto* const* text = std::get_if<std::string*>(&field)) **text = key.example;
  };
  recipe.data.train.emplace_back();
  for (const Key& key : schema_table()) {
    if (key.required && key.parent() == "data.train[]") fill(key, &recipe.data.train.front());
    if (key.required && key.path.find("[]") == std::string::npos) fill(key, &recipe);
  }
  recipe.train.epochs = 1;  // one of three is needed
  return recipe;
}

}  // namespace

std::string reference_recipe() {
  WriteOptions options;
  options.comments = true;
  std::string text =
      "# Every key of the recipe language at its default, with its meaning.\n"
      "#   graft train FILE [key.path=value …] [~key.path]     graft recipe explain KEY\n\n" +
      write_yaml(example_recipe(), options);
  const Key& resolved = *find_key("resolved");
  text += "\n" + resolved.path + ": " + resolved.unset + "  # " + resolved.doc + "\n";
  for (const Key* key : children_of(resolved.path)) text += "  # " + key->leaf() + ": " + key->doc + "\n";
  return text;
}

}  // namespace graft::recipe
