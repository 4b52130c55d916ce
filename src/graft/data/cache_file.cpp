#include "graft/data/cache_file.h"

#include <cstddef>

#include "graft/base/error.h"
#include "graft/base/json.h"
#include "graft/data/checksum.h"

namespace graft::data {
namespace {

struct Field {
  const char* name;
  int64_t DatasetStatistics::*value;
};

constexpr Field kFields[] = {
    {"lines", &DatasetStatistics::lines},
    {"samples", &DatasetStatistics::samples},
    {"skipped_bad", &DatasetStatistics::skipped_bad},
    {"dropped_long", &DatasetStatistics::dropped_long},
    {"truncated", &DatasetStatistics::truncated},
    {"dropped_unsupervised", &DatasetStatistics::dropped_unsupervised},
    {"tokens", &DatasetStatistics::tokens},
    {"supervised_tokens", &DatasetStatistics::supervised_tokens},
    {"longest", &DatasetStatistics::longest},
    {"cut_documents", &DatasetStatistics::cut_documents},
};

}  // namespace

uint64_t header_checksum(const CacheHeader& header) {
  Checksum sum;
  sum.add(&header, offsetof(CacheHeader, header_checksum));
  return sum.value();
}

std::string statistics_to_json(const DatasetStatistics& statistics) {
  Json json;
  for (const auto& field : kFields) json[field.name] = statistics.*field.value;
  json["first_bad"] = statistics.first_bad;
  return dump_json(json);
}

DatasetStatistics statistics_from_json(const std::string& text) {
  const Json json = parse_json(text, "statistics");
  DatasetStatistics statistics;
  for (const auto& field : kFields) {
    const auto found = json.find(field.name);
    if (found == json.end() || !found->is_number_integer()) throw DataError(std::string("the statistics lack ") + field.name);
    statistics.*field.value = found->get<int64_t>();
  }
  const auto first_bad = json.find("first_bad");
  if (first_bad != json.end() && first_bad->is_string()) statistics.first_bad = first_bad->get<std::string>();
  return statistics;
}

}  // namespace graft::data
