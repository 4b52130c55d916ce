#include "graft/app/job.h"

#include <c10/util/Exception.h>

#include <functional>
#include <map>
#include <string>

#include "graft/app/jobs.h"
#include "graft/app/memory_watch.h"
#include "graft/base/error.h"
#include "graft/base/filesystem_error.h"
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

/// Of a command that plans no memory; train, resume and bench say more (memory_watch).
InternalError memory_gone(const std::string& reported) {
  return InternalError("out of memory: " + reported)
      .hint("use a smaller model, dtype bfloat16, quantized weights (graft quantize) or shorter texts");
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
  } catch (const std::filesystem::filesystem_error& error) {
    return app::report(io_error(error));
  } catch (const c10::Error& error) {
    if (const auto reported = app::allocation_failure(error)) return app::report(app::memory_gone(*reported));
    return app::report(InternalError(app::text_of(error, verbose)).at("LibTorch").hint("this is a bug of graft's; --verbose shows where"));
  } catch (const std::exception& error) {
    if (const auto reported = app::allocation_failure(error)) return app::report(app::memory_gone(*reported));
    return app::report(InternalError(error.what()).hint("this is a bug of graft's; please report it with the command line"));
  }
}
