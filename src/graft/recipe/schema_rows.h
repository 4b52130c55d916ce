#pragma once

#include <vector>

#include "graft/recipe/schema.h"

/// The rows of the one table, section by section, in files of their own because of their length. Each part: its sections and their keys, in
/// order. To add a key, add its field to recipe.h and one row; to switch on a value that a later version was waiting for, move it from
/// not_yet() to one_of().
namespace graft::recipe {

std::vector<Key> rows_of_the_model();     ///< top level, model, quant, adapter
std::vector<Key> rows_of_the_training();  ///< data, batch, train
std::vector<Key> rows_of_the_run();       ///< memory, runtime, eval, checkpoint, log, export, resolved

template <typename Owner, typename Member>
Owner owner_of(Member Owner::*);

/// The field behind a chain of member pointers: at<&Recipe::adapter, &AdapterSection::rank>.
template <auto kFirst, auto... kRest>
Field at(void* owner) {
  auto& object = *static_cast<decltype(owner_of(kFirst))*>(owner);
  if constexpr (sizeof...(kRest) == 0) {
    return &(object.*kFirst);
  } else {
    return at<kRest...>(&(object.*kFirst));
  }
}

}  // namespace graft::recipe
