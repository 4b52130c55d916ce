#pragma once

#include <string>

/// Texts generated from the one table of keys.
namespace graft::recipe {

/// Meaning, type, default, range and availability of one key ("adapter.rank"), of a section ("adapter": all its keys), or of
/// everything (""). UsageError with the nearest key when there is no such key.
std::string explain(const std::string& key);

/// JSON Schema, draft 2020-12, closed at every level: for editors and for validation outside graft.
std::string json_schema();

/// A complete recipe with every key at its default and one comment line each. It loads as it stands.
std::string reference_recipe();

}  // namespace graft::recipe
