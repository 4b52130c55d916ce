#include "graft/train/report.h"

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"

namespace graft::train {

void write_report(const std::filesystem::path& path, const RunResult& result) {
  Json json = Json::object();
  try {
    if (std::filesystem::exists(path)) json = parse_json(read_file(path), path.string());
  } catch (const DataError&) {
  }
  if (!json.is_object()) json = Json::object();
  json["finished"] = true;
  json["step"] = result.step;
  json["steps"] = result.steps;
  json["stopped_early"] = result.stopped_early;
  json["resumed_from"] = result.resumed_from;
  json["loss"] = result.loss;
  json["best_step"] = result.best_step >= 0 ? Json(result.best_step) : Json(nullptr);
  json["best_metric"] = result.best_metric ? Json(*result.best_metric) : Json(nullptr);
  json["tokens"] = result.tokens;
  json["supervised_tokens"] = result.supervised_tokens;
  json["trainable_parameters"] = result.trainable_parameters;
  json["seconds"] = result.seconds;
  json["tokens_per_second"] = result.tokens_per_second;
  json["peak_memory_bytes"] = result.peak_memory_bytes;
  json["final_weights"] = result.final_weights.string();
  replace_file(path, dump_json(json, 2) + "\n");
}

}  // namespace graft::train
