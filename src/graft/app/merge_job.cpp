#include <iostream>

#include "graft/app/jobs.h"
#include "graft/app/merge.h"
#include "graft/base/json.h"
#include "graft/base/log.h"

namespace graft::app {

int run_merge_job(const JobRequest& request) {
  const MergeReport report = merge_adapter(request.model, request.adapter, request.output, request.common.dtype);
  if (report.untied) log::info("the output head shared its weight with the embedding; it is a tensor of its own now");
  if (request.common.json) {
    std::cout << dump_json({{"output", request.output},
                            {"merged_modules", report.merged_modules},
                            {"replaced_tensors", report.replaced_tensors},
                            {"dequantized_modules", report.dequantized_modules},
                            {"untied", report.untied},
                            {"merge_loss", report.loss},
                            {"worst_merge_loss", report.worst_loss},
                            {"worst_module", report.worst_module}},
                           2)
              << '\n';
  } else {
    char text[160];
    std::snprintf(text, sizeof text, "merged %lld modules; rounding took %.2g of the adapter's effect (worst %.2g at %s)",
                  static_cast<long long>(report.merged_modules), report.loss, report.worst_loss, report.worst_module.c_str());
    log::info(text);
    std::cout << request.output << '\n';
  }
  return 0;
}

}  // namespace graft::app
