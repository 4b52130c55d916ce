#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "graft/data/dataset.h"

namespace graft::data {

/// The files a source names, globs expanded (`*`, `?`, `[…]`) and sorted by name byte for byte. A path that exists as written is
/// taken as it is, whatever characters it has. RecipeError at the source's recipe_place (UsageError when it has none) with the
/// absolute path tried: no such file, a glob without a match, a directory, a name that ends in none of .jsonl .ndjson .json.
std::vector<std::filesystem::path> expand_source(const SourceOptions& source);

/// Throws RecipeError at source.recipe_place, or UsageError when that is empty.
[[noreturn]] void throw_source_error(const SourceOptions& source, const std::string& message, const std::string& nearest,
                                     const std::string& hint);

}  // namespace graft::data
