#include "graft/app/job_model.h"

#include "graft/adapters/attach.h"
#include "graft/adapters/four_bit_loader.h"
#include "graft/app/device.h"
#include "graft/base/log.h"
#include "graft/io/model_directory.h"
#include "graft/models/family.h"
#include "graft/models/load.h"

namespace graft::app {

models::DecoderOptions read_options(const JobRequest& request) {
  return models::read_decoder_options(io::ModelDirectory(request.model, io::ModelDirectory::Open::kConfigOnly));
}

models::Decoder load_job_model(const JobRequest& request) {
  LoadOptions options;
  options.device = resolve_device(request.common.device);
  if (!request.common.dtype.empty()) options.dtype = dtype_of(request.common.dtype);
  options.linears = four_bit_loader(request.model, {}, options.dtype);
  auto decoder = load_model(request.model, options);
  if (!request.adapter.empty()) load_adapter(*decoder, request.adapter);
  decoder->eval();
  log::verbose(request.model + " is on " + options.device.str());
  return decoder;
}

}  // namespace graft::app
