#pragma once

#include "graft/app/job.h"

namespace graft::app {

// One function per job that needs tensors, each in the file of its name; job.cpp has the table. They throw graft::Error and
// return the process's exit code.
int run_train_job(const JobRequest& request);
int run_resume_job(const JobRequest& request);
int run_generate_job(const JobRequest& request);
int run_eval_job(const JobRequest& request);
int run_score_job(const JobRequest& request);
int run_merge_job(const JobRequest& request);
int run_quantize_job(const JobRequest& request);
int run_doctor_job(const JobRequest& request);
int run_bench_train_job(const JobRequest& request);

}  // namespace graft::app
