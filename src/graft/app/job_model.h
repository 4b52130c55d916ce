#pragma once

#include "graft/app/job.h"
#include "graft/models/decoder.h"

namespace graft::app {

/// config.json of --model, checked, without its weights.
models::DecoderOptions read_options(const JobRequest& request);

/// The model a command line names (--model, --adapter, --device, --dtype), ready to run without gradients.
models::Decoder load_job_model(const JobRequest& request);

}  // namespace graft::app
