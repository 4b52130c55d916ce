// graft quantize: a model directory in 4 bits.
#include <iostream>

#include "graft/app/jobs.h"
#include "graft/app/quantize.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"

namespace graft::app {

int run_quantize_job(const JobRequest& request) {
  const quant::FourBitOptions options{quant::four_bit_type(request.quant_type), request.double_quant, request.block};
  const auto report = quantize_files(request.model, request.output, options, request.common.dtype);
  if (request.common.json) {
    std::cout << dump_json({{"output", request.output},
                            {"quantized_modules", report.modules},
                            {"bytes_before", report.bytes_before},
                            {"bytes_after", report.bytes_after},
                            {"relative_error", report.error}},
                           2)
              << '\n';
  } else {
    char error[32];
    std::snprintf(error, sizeof error, "%.2f%%", 100 * report.error);
    log::info("quantized " + std::to_string(report.modules) + " weights: " + format_bytes(static_cast<double>(report.bytes_before)) +
              " to " + format_bytes(static_cast<double>(report.bytes_after)) + ", relative error " + error);
    std::cout << request.output << '\n';
  }
  return 0;
}

}  // namespace graft::app
