#include "graft/app/bench_file.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <tuple>

#include "graft/app/cache_home.h"
#include "graft/app/cuda_driver.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"

namespace graft::app {
namespace {

constexpr int kFormat = 1;
constexpr uint64_t kLimit = uint64_t{16} << 20;

auto setting_of(const BenchRecord& r) {
  return std::tie(r.device, r.dtype, r.quant, r.adapter_dtype, r.parameters, r.batch, r.sequence, r.rank, r.recompute_every, r.offload,
                  r.dropout, r.supervised);
}

BenchRecord from_json(const Json& json) {
  BenchRecord r;
  json.at("device").get_to(r.device), json.at("shape").get_to(r.shape), json.at("dtype").get_to(r.dtype), json.at("quant").get_to(r.quant);
  json.at("adapter_dtype").get_to(r.adapter_dtype), json.at("date").get_to(r.date);
  json.at("parameters").get_to(r.parameters), json.at("batch").get_to(r.batch), json.at("seq").get_to(r.sequence);
  json.at("rank").get_to(r.rank), json.at("recompute_every").get_to(r.recompute_every);
  r.offload = json.value("offload_activations", false);  // records of earlier versions have none
  json.at("dropout").get_to(r.dropout), json.at("supervised").get_to(r.supervised);
  json.at("tokens_per_second").get_to(r.tokens_per_second), json.at("flop_per_token").get_to(r.flop_per_token);
  json.at("share_of_gemm").get_to(r.share_of_gemm);
  return r;
}

bool is_usable(const BenchRecord& r) {
  return r.parameters > 0 && r.batch > 0 && r.sequence > 0 && r.tokens_per_second > 0 && r.flop_per_token > 0;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (starts_with(line, "model name"))
      if (const auto colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "cpu";
}

}  // namespace

bool BenchRecord::same_setting(const BenchRecord& other) const { return setting_of(*this) == setting_of(other); }

Json to_json(const BenchRecord& r) {
  return {{"device", r.device},
          {"shape", r.shape},
          {"dtype", r.dtype},
          {"quant", r.quant},
          {"adapter_dtype", r.adapter_dtype},
          {"parameters", r.parameters},
          {"batch", r.batch},
          {"seq", r.sequence},
          {"rank", r.rank},
          {"recompute_every", r.recompute_every},
          {"offload_activations", r.offload},
          {"dropout", r.dropout},
          {"supervised", r.supervised},
          {"tokens_per_second", r.tokens_per_second},
          {"flop_per_token", r.flop_per_token},
          {"share_of_gemm", r.share_of_gemm},
          {"date", r.date}};
}

std::string machine_device(const std::string& device) {
  if (device == "cpu") return processor_name();
  size_t index = 0;
  if (starts_with(device, "cuda:")) std::from_chars(device.data() + 5, device.data() + device.size(), index);
  const auto gpus = ask_driver().gpus;
  if (index < gpus.size()) return gpus[index].name;
  return device == "auto" ? processor_name() : device;
}

fs::path bench_file() {
  if (const char* named = std::getenv("GRAFT_BENCH_FILE"); named != nullptr && *named != 0) return named;
  const fs::path home = cache_home();
  return home.empty() ? home : home / "bench.json";
}

std::vector<BenchRecord> read_bench_file(const fs::path& path) {
  if (path.empty() || !fs::exists(path)) return {};
  const Json document = parse_json(read_file(path, kLimit), path.string());
  const auto refuse = [&](const std::string& why) {
    throw DataError("this is no file of `graft bench train`: " + why).at(path.string()).hint("remove it; the next bench writes a new one");
  };
  if (!document.is_object() || document.value("format", Json()) != Json(kFormat)) refuse("its format is not " + std::to_string(kFormat));
  std::vector<BenchRecord> records;
  try {
    for (const Json& entry : document.at("records")) {
      records.push_back(from_json(entry));
      if (!is_usable(records.back())) refuse("a record holds a size or a speed that is not positive");
    }
  } catch (const Json::exception& error) {
    refuse(error.what());
  }
  return records;
}

void add_to_bench_file(const fs::path& path, const BenchRecord& record) {
  std::vector<BenchRecord> records;
  try {
    records = read_bench_file(path);
  } catch (const DataError& error) {
    log::warning(path.string() + " is begun anew: " + error.message());
  }
  records.erase(std::remove_if(records.begin(), records.end(), [&](const auto& old) { return old.same_setting(record); }), records.end());
  records.push_back(record);
  Json list = Json::array();
  for (const auto& entry : records) list.push_back(to_json(entry));
  std::error_code failed;
  fs::create_directories(fs::absolute(path).parent_path(), failed);
  if (failed) throw_io_error("cannot create directory", fs::absolute(path).parent_path(), failed.value());
  replace_file(path, dump_json({{"format", kFormat}, {"records", list}}, 2) + "\n");
}

}  // namespace graft::app
