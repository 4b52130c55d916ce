#include "graft/train/state.h"

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/base/version.h"

namespace graft::train {
namespace {

constexpr int kStateFormat = 1;

bool differs(const std::string& saved, const std::string& now) { return !saved.empty() && !now.empty() && saved != now; }

[[noreturn]] void refuse(const std::string& what, const std::string& origin) {
  throw DataError(what + " changed since this run began, so continuing it would not give the result it promised")
      .at(origin)
      .hint("put the old files back, or start a new run in another output_dir");
}

}  // namespace

std::string to_json(const TrainerState& state) {
  Json json;
  json["format"] = kStateFormat;
  json["graft_version"] = kVersion;
  json["step"] = state.step;
  json["steps"] = state.steps;
  json["evaluated_step"] = state.evaluated_step;
  json["tokens"] = state.tokens;
  json["supervised_tokens"] = state.supervised_tokens;
  json["loss"] = state.loss;
  json["best_metric"] = state.best_metric ? Json(*state.best_metric) : Json(nullptr);
  json["best_step"] = state.best_step;
  json["evaluations_without_gain"] = state.evaluations_without_gain;
  json["stopped_early"] = state.stopped_early;
  json["identity"] = {{"recipe", state.identity.recipe},
                      {"dataset", state.identity.dataset},
                      {"base", state.identity.base},
                      {"evaluation", state.identity.evaluation}};
  return dump_json(json, 2) + "\n";
}

TrainerState parse_state(const std::string& text, const std::string& origin) {
  const Json json = parse_json(text, origin, 8);
  try {
    if (json.at("format") != Json(kStateFormat))
      throw DataError("this checkpoint's format is " + dump_json(json.at("format")) + ", this version reads " +
                      std::to_string(kStateFormat))
          .at(origin)
          .hint("continue it with graft " + json.value("graft_version", std::string("of the version that wrote it")));
    TrainerState state;
    state.step = json.at("step").get<int64_t>();
    state.steps = json.at("steps").get<int64_t>();
    state.evaluated_step = json.at("evaluated_step").get<int64_t>();
    state.tokens = json.at("tokens").get<int64_t>();
    state.supervised_tokens = json.at("supervised_tokens").get<int64_t>();
    state.loss = json.at("loss").get<double>();
    if (!json.at("best_metric").is_null()) state.best_metric = json.at("best_metric").get<double>();
    state.best_step = json.at("best_step").get<int64_t>();
    state.evaluations_without_gain = json.at("evaluations_without_gain").get<int64_t>();
    state.stopped_early = json.at("stopped_early").get<bool>();
    const Json& identity = json.at("identity");
    state.identity = {identity.at("recipe").get<std::string>(), identity.at("dataset").get<std::string>(),
                      identity.at("base").get<std::string>(), identity.value("evaluation", std::string())};
    return state;
  } catch (const Json::exception& wrong) {
    throw DataError(std::string("not a trainer state: ") + wrong.what()).at(origin);
  }
}

void check_identity(const TrainerState& saved, const RunIdentity& now, int64_t steps, const std::string& origin) {
  if (differs(saved.identity.recipe, now.recipe))
    throw InUseError("this directory holds a run of another recipe")
        .at(origin)
        .hint("choose another output_dir, or give the recipe it was started with");
  if (differs(saved.identity.dataset, now.dataset)) refuse("the training data", origin);
  if (differs(saved.identity.evaluation, now.evaluation)) refuse("the evaluation data", origin);
  if (differs(saved.identity.base, now.base)) refuse("the base model", origin);
  if (saved.steps != steps)
    refuse("the number of optimizer steps (" + std::to_string(saved.steps) + " then, " + std::to_string(steps) + " now)", origin);
}

}  // namespace graft::train
