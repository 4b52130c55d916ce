// Verdicts in bulk, one line on stdout for each line on stdin:
//   io_probe safetensors foreign|own     path                       -> "ok" or "refused <message>"
//   io_probe rewrite FROM TO            copies a file through the reader and the writer
//   io_probe targets                     JSON of an adapter_config and module names, see below
#include <iostream>
#include <string>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/io/adapter_config.h"
#include "graft/io/safetensors.h"

namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

void safetensors_verdicts(graft::io::Strictness strictness) {
  for (std::string path; std::getline(std::cin, path);) {
    try {
      graft::io::SafetensorsFile::open(path, strictness);
      std::cout << "ok\n";
    } catch (const graft::Error& error) {
      std::cout << "refused " << first_line(error.what()) << "\n";
    }
  }
}

// {"config": {...}, "names": [...]} -> {"targets": [...], "ranks": [...], "alphas": [...], "json": "..."} or {"error": "..."}
void target_decisions() {
  for (std::string line; std::getline(std::cin, line);) {
    graft::Json answer;
    try {
      const auto request = graft::parse_json(line, "request");
      std::vector<std::string> warnings;
      const auto config = graft::io::parse_adapter_config(graft::dump_json(request["config"]), "adapter_config.json", &warnings);
      for (const auto& name : request["names"]) {
        answer["targets"].push_back(graft::io::targets_module(config, name.get<std::string>()));
        answer["ranks"].push_back(graft::io::rank_of(config, name.get<std::string>()));
        answer["alphas"].push_back(graft::io::alpha_of(config, name.get<std::string>()));
      }
      answer["json"] = graft::io::to_json(config);
      answer["warnings"] = warnings;
    } catch (const graft::Error& error) {
      answer = graft::Json{{"error", first_line(error.what())}};
    }
    std::cout << graft::dump_json(answer) << "\n";
  }
}

void rewrite(const std::string& from, const std::string& to) {
  const auto file = graft::io::SafetensorsFile::open(from);
  graft::io::SafetensorsWriter writer(to, file.entries(), file.metadata());
  for (const auto& tensor : writer.order()) writer.append(file.bytes(*file.find(tensor.name)));
  writer.finish();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "safetensors" && argc > 2)
    return safetensors_verdicts(std::string(argv[2]) == "own" ? graft::io::Strictness::kOwn : graft::io::Strictness::kForeign), 0;
  if (mode == "rewrite" && argc > 3) return rewrite(argv[2], argv[3]), 0;
  if (mode == "targets") return target_decisions(), 0;
  std::cerr << "io_probe safetensors foreign|own | rewrite FROM TO | targets\n";
  return 64;
}
