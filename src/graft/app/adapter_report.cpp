#include "graft/app/adapter_report.h"

#include <optional>
#include <set>

#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/io/adapter_check.h"
#include "graft/io/adapter_inspect.h"
#include "graft/io/model_directory.h"
#include "graft/models/family.h"

namespace graft::app {
namespace {

Json module_json(const io::AdapterModule& module) {
  return {{"name", module.name},
          {"rank", module.rank},
          {"alpha", module.alpha},
          {"scale", module.scale},
          {"a_shape", module.a_shape},
          {"b_shape", module.b_shape},
          {"dtype", io::to_string(module.dtype)},
          {"parameters", module.parameters}};
}

std::optional<io::AdapterBase> base_of(const std::string& model) {
  if (model.empty()) return std::nullopt;
  const auto decoder = models::read_decoder_options(io::ModelDirectory(model, io::ModelDirectory::Open::kConfigOnly));
  return io::AdapterBase{decoder.family, decoder.tied_embeddings, models::linear_shapes(decoder)};
}

}  // namespace

void print_adapter_facts(const std::string& directory, bool json, std::ostream& out) {
  const auto facts = io::inspect_adapter(directory);
  std::set<int64_t> ranks;
  std::set<std::string> leaves;
  for (const auto& module : facts.modules) ranks.insert(module.rank), leaves.insert(module.name.substr(module.name.rfind('.') + 1));
  if (json) {
    Json modules = Json::array(), whole = Json::array();
    for (const auto& module : facts.modules) modules.push_back(module_json(module));
    for (const auto& tensor : facts.whole)
      whole.push_back({{"name", tensor.name}, {"shape", tensor.shape}, {"dtype", io::to_string(tensor.dtype)}});
    out << dump_json({{"directory", directory},
                      {"rank", facts.config.r},
                      {"alpha", facts.config.lora_alpha},
                      {"rslora", facts.config.use_rslora},
                      {"base_model", facts.config.base_model_name_or_path},
                      {"target_modules", leaves},
                      {"parameters", facts.parameters},
                      {"bytes", facts.bytes},
                      {"dtypes", facts.dtypes},
                      {"modules", modules},
                      {"full_tensors", whole},
                      {"other_tensors", facts.odd},
                      {"problems", facts.problems},
                      {"warnings", facts.warnings}},
                     2)
        << '\n';
    return;
  }
  std::vector<std::string> rank_names;
  for (const int64_t rank : ranks) rank_names.push_back(std::to_string(rank));
  out << "adapter     LoRA, rank " << enumerate(rank_names) << ", alpha " << facts.config.lora_alpha
      << (facts.config.use_rslora ? ", rank-stabilized" : "") << '\n'
      << "base        " << facts.config.base_model_name_or_path << '\n'
      << "modules     " << facts.modules.size() << ": " << enumerate({leaves.begin(), leaves.end()}) << '\n'
      << "parameters  " << format_count(facts.parameters) << " (" << format_bytes(static_cast<double>(facts.bytes)) << ", "
      << enumerate(facts.dtypes) << ")\n";
  for (const auto& tensor : facts.whole) out << "full copy   " << tensor.name << '\n';
  for (const auto& name : facts.odd) out << "other       " << name << '\n';
  for (const auto& problem : facts.problems) out << "problem     " << problem << '\n';
  for (const auto& warning : facts.warnings) out << "warning     " << warning << '\n';
}

bool print_adapter_check(const std::string& directory, const std::vector<std::string>& consumers, const std::string& model, bool json,
                         std::ostream& out) {
  const auto verdicts = io::check_adapter(io::inspect_adapter(directory), consumers, base_of(model));
  bool all_ok = true;
  Json document = Json::object();
  for (const auto& verdict : verdicts) {
    all_ok = all_ok && verdict.ok();
    Json findings = Json::array();
    if (!json) out << verdict.consumer << ": " << (verdict.ok() ? "ok" : "no") << '\n';
    for (const auto& finding : verdict.findings) {
      findings.push_back(
          {{"blocks", finding.blocks}, {"subject", finding.subject}, {"why", finding.why}, {"what_to_do", finding.what_to_do}});
      if (!json)
        out << "  " << (finding.blocks ? "blocks: " : "note:   ") << finding.subject << ": " << finding.why << "\n          "
            << finding.what_to_do << '\n';
    }
    document[verdict.consumer] = {{"ok", verdict.ok()}, {"findings", findings}};
  }
  if (json) out << dump_json(document, 2) << '\n';
  return all_ok;
}

}  // namespace graft::app
