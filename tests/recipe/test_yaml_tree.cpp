#include "graft/recipe/recipe.h"
#include "graft/recipe/reference.h"
#include "support/catch.h"
#include <iostream>
TEST_CASE("x") {
  std::cout << graft::recipe::reference_recipe() << std::endl;
  auto r = graft::recipe::parse_recipe(graft::recipe::reference_recipe(), "ref.yaml");
  std::cout << graft::recipe::resolved_yaml(r) << std::endl;
  std::cout << graft::recipe::explain("adapter") << graft::recipe::explain("data.train_on")<< graft::recipe::explain("data.train");
  try { graft::recipe::parse_recipe("schema: 1\nadapter:\n  lora_rnk: 16\n  rank: 017\n  bais: none\nlearning_rate: 3e-4\ntrain: {epoch: 3}\nmemory: full\ntask: dpo\n", "recipe.yaml", {"train.steps=abc", "adapter.rnk=2"}); }
  catch (const std::exception& e) { std::cout << e.what() << std::endl; }
}
