#include "graft/app/job.h"

#include <c10/util/Exception.h>

#include <functional>
#include <map>
#include <new>
#include <string>

#include "graft/app/jobs.h"
#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"

namespace graft::app {
namespace {

/// Every command that needs tensors: one line each.
const std::map<std::string, std::function<int(const JobRequest&)>>& jobs() {
  static const std::map<std::string, std::function<int(const JobRequest&)>> table = {
      {"bench-train", run_bench_train_job}, {"doctor", run_doctor_job}, {"eval", run_eval_job},
      {"generate", run_generate_job},       {"merge", run_merge_job},   {"quantize", run_quantize_job},
      {"resume", run_resume_job},           {"train", run_train_job},   {"score", run_score_job},
  };
  return table;
}

int run(const JobRequest& request) {
  const auto found = jobs().find(request.command);
  if (found == jobs().end())
    throw InternalError("the job library has no job \"" + request.command + "\"").hint("build or unpack graft again");
  return found->second(request);
}

int report(const Error& error) {
  log::error(error.what());
  return static_cast<int>(error.code());
}

InternalError out_of_memory(const std::string& what, const std::string& device) {
  return InternalError("out of memory on " + device + ": " + what)
      .hint("use a smaller model, dtype bfloat16, shorter texts or smaller micro-batches (recipe: batch.micro_sequences)");
}

/// LibTorch reports a failed allocation on the CPU as a plain c10::Error.
bool is_out_of_memory(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.find("can't allocate memory") != std::string::npos || text.find("not enough memory") != std::string::npos;
}

std::string text_of(const c10::Error& error, bool verbose) {
  const std::string text = verbose ? error.what() : error.what_without_backtrace();
  return text.substr(0, text.find("\nException raised from"));
}

}  // namespace
}  // namespace graft::app

extern "C" int graft_run_job(const graft::app::JobRequest* request) {
  using namespace graft;
  const bool verbose = request->common.verbose;
  // The executable has its own copy of the log's settings.
  log::set_level(request->common.quiet ? log::Level::kQuiet : verbose ? log::Level::kVerbose : log::Level::kNormal);
  try {
    return app::run(*request);
  } catch (const Error& error) {
    return app::report(error);
  } catch (const c10::OutOfMemoryError& error) {
    return app::report(app::out_of_memory(app::text_of(error, verbose), "the GPU"));
  } catch (const c10::Error& error) {
    if (app::is_out_of_memory(error)) return app::report(app::out_of_memory(app::text_of(error, verbose), "the host"));
    return app::report(InternalError(app::text_of(error, verbose)).at("LibTorch").hint("this is a bug of graft's; --verbose shows where"));
  } catch (const std::bad_alloc& error) {
    return app::report(app::out_of_memory(error.what(), "the host"));
  } catch (const std::exception& error) {
    return app::report(InternalError(error.what()).hint("this is a bug of graft's; please report it with the command line"));
  }
}
