#include "graft/train/report.h"

#include <exception>

#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"

namespace graft::train {

void write_totals(const std::filesystem::path& path, const RunTotals& totals) {
  const Json json = {{"about", "what all starts of this run took so far; report.json is made of it"},
                     {"seconds", totals.seconds},
                     {"training_seconds", totals.training_seconds},
                     {"trained_tokens", totals.trained_tokens},
                     {"peak_memory_bytes", totals.peak_memory_bytes}};
  replace_file(path, dump_json(json, 2) + "\n");
}

RunTotals read_totals(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  try {
    const Json json = parse_json(read_file(path), path.string());
    RunTotals totals;
    json.at("seconds").get_to(totals.seconds);
    json.at("training_seconds").get_to(totals.training_seconds);
    json.at("trained_tokens").get_to(totals.trained_tokens);
    json.at("peak_memory_bytes").get_to(totals.peak_memory_bytes);
    return totals;
  } catch (const std::exception&) {  // figures for people: no reason to stop a run
    return {};
  }
}

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
