#include "graft/io/model_index.h"

#include <set>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/io/printable.h"

namespace graft::io {
namespace {

constexpr uint64_t kIndexLimit = uint64_t{256} << 20;

}  // namespace

void require_plain_file_name(const std::string& name, const std::string& place) {
  const bool plain =
      !name.empty() && name.size() <= 255 && name[0] != '.' && name.find_first_of(std::string("/\\:\0", 4)) == std::string::npos;
  if (plain) return;
  throw DataError("shard name \"" + printable(name) + "\" is not a plain file name: an index may only name files of its own directory")
      .at(place)
      .hint("put the shards beside the index and name them without folders");
}

ModelIndex read_model_index(const fs::path& path) {
  const std::string origin = path.string();
  const Json json = parse_json(read_file(path, kIndexLimit), origin);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    throw DataError("the index has no object \"weight_map\" (tensor name to file name)").at(origin).hint("fetch the model's index again");
  ModelIndex index;
  std::set<std::string> shards;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    const std::string place = origin + ": weight_map." + printable(tensor);
    if (!file.is_string()) throw DataError("expected a file name, found " + dump_json(file).substr(0, 80)).at(place);
    const auto name = file.get<std::string>();
    require_plain_file_name(name, place);
    if (!ends_with(name, ".safetensors")) {
      throw DataError("shard \"" + printable(name) + "\" is not a .safetensors file")
          .at(place)
          .hint("graft reads no pickle files; convert the model with transformers: model.save_pretrained(directory)");
    }
    index.shard_of.emplace(tensor, name);
    shards.insert(name);
  }
  if (shards.empty()) throw DataError("the index names no tensor").at(origin).hint("fetch the model's index again");
  index.shards.assign(shards.begin(), shards.end());
  if (json.contains("metadata") && json["metadata"].is_object() && json["metadata"].contains("total_size")) {
    const auto& total = json["metadata"]["total_size"];
    if (total.is_number_integer() && total >= 0) index.total_size = total.get<int64_t>();
  }
  return index;
}

}  // namespace graft::io
