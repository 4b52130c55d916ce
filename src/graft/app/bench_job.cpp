#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>

#include "graft/app/bench_file.h"
#include "graft/app/bench_model.h"
#include "graft/app/bench_shape.h"
#include "graft/app/cuda_driver.h"
#include "graft/app/decoder_loss.h"
#include "graft/app/device.h"
#include "graft/app/gemm_rate.h"
#include "graft/app/jobs.h"
#include "graft/app/memory_watch.h"
#include "graft/app/process_age.h"
#include "graft/app/step_flop.h"
#include "graft/app/step_profile.h"
#include "graft/app/template_date.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/models/family.h"
#include "graft/train/peak_memory.h"
#include "graft/train/trainer.h"

namespace graft::app {
namespace {

/// Notes what each optimizer step took, and when the first one had ended.
class StepTimes : public train::Observer {
 public:
  explicit StepTimes(int64_t warmup) : warmup_(warmup) {}
  void on_step(const train::StepRow& row, bool /*logged*/) override {
    if (row.step == 1) first_step_ended_ = process_age_seconds();
    if (row.step > warmup_) timed_.push_back(row.step_seconds);
    log::verbose("step " + std::to_string(row.step) + ": " + std::to_string(row.step_seconds) + " s, loss " + std::to_string(row.loss));
  }
  double first_step_ended() const { return first_step_ended_; }
  /// Between two steps, linearly.
  double quantile(double share) const {
    auto sorted = timed_;
    std::sort(sorted.begin(), sorted.end());
    const double position = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<size_t>(position);
    const auto above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
  }

 private:
  int64_t warmup_;
  double first_step_ended_ = 0;
  std::vector<double> timed_;
};

void check_bench(const BenchOptions& options, const models::DecoderOptions& shape) {
  if (options.batch * options.sequence > INT32_MAX)
    throw UsageError("--batch times --seq is more than 2^31 tokens").hint("no device holds the activations of that");
  if (options.sequence > shape.max_positions)
    throw UsageError("--seq " + std::to_string(options.sequence) + " is more than the " + std::to_string(shape.max_positions) +
                     " positions of --shape " + options.shape);
  if (options.offload && options.recompute == "none")
    throw UsageError("--offload keeps the inputs of recomputed layers in host memory, and --recompute none recomputes none")
        .hint("add --recompute full");
  if (options.profile.empty()) return;
  if (options.warmup + options.steps < 2)
    throw UsageError("--profile needs a step before the one it records").hint("use --steps 2, or --warmup 1");
  const auto folder = fs::absolute(options.profile).parent_path();
  if (!fs::is_directory(folder)) throw UsageError("the folder of --profile does not exist").at(folder.string());
}

std::string device_name(at::Device device) {
  if (device.is_cpu()) return "cpu";
  const auto gpus = ask_driver().gpus;
  const auto index = static_cast<size_t>(device.index());
  return device.str() + (index < gpus.size() ? " (" + gpus[index].name + ")" : "");
}

Json setting_json(const BenchOptions& options, const std::string& dtype, at::Device device) {
  return {{"shape", options.shape},
          {"batch", options.batch},
          {"seq", options.sequence},
          {"rank", options.rank},
          {"alpha", 2 * options.rank},
          {"targets", "all-linear"},
          {"quant", options.quant},
          {"recompute", options.recompute},
          {"offload_activations", options.offload},
          {"dtype", dtype},
          {"adapter_dtype", options.adapter_dtype},
          {"dropout", options.dropout},
          {"supervised", options.supervised},
          {"documents", options.documents},
          {"warmup_steps", options.warmup},
          {"steps", options.steps},
          {"device", device_name(device)}};
}

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

void print_text(const Json& document) {
  const auto number = [&](const char* key) { return document[key].get<double>(); };
  for (const auto& [key, value] : document["setting"].items()) std::cout << key << ' ' << text_of(value) << "  ";
  char line[256];
  std::snprintf(line, sizeof line, "\nstep          %.4f s (p10 %.4f, p90 %.4f)\ntokens/s      %.0f\n", number("step_seconds_median"),
                number("step_seconds_p10"), number("step_seconds_p90"), number("tokens_per_second"));
  std::cout << line << "peak memory   " << format_bytes(number("peak_memory_bytes"));
  if (!document["peak_reserved_bytes"].is_null()) std::cout << " (reserved " << format_bytes(number("peak_reserved_bytes")) << ")";
  std::snprintf(line, sizeof line, "\nof GEMM rate  %.1f%% of %.4g TFLOP/s\nfirst step    %.2f s after the start of the process\n",
                100 * number("share_of_gemm"), number("gemm_flops_per_second") / 1e12, number("start_to_first_step_seconds"));
  std::cout << line;
}

/// What is settled before anything is allocated.
struct Bench {
  const BenchOptions& options;
  models::DecoderOptions shape;
  at::Device device;
  std::string dtype;
  int64_t room;  ///< bytes that the device has for it
  MemorySituation situation;

  at::ScalarType type() const { return resolve_dtype(dtype, at::kBFloat16); }
};

Json measure(Bench* bench) {
  const auto& [options, shape, device, dtype, room, situation] = *bench;
  const auto& memory = situation.inputs;
  auto decoder = make_bench_base(shape, options, device, bench->type());
  using KeptInputs = models::DecoderImpl::KeptInputs;
  decoder->set_recompute(memory.recompute_every, memory.offload ? KeptInputs::kOnHost : KeptInputs::kOnDevice);
  auto adapters = attach_bench_adapter(decoder, options);
  const auto batches = bench_batches(options, shape.vocabulary_size);

  const auto times = std::make_shared<StepTimes>(options.warmup);
  auto trainer_options = train::TrainerOptions(options.warmup + options.steps).learning_rate(1e-4).device(device).handle_signals(false);
  trainer_options.cuda_graph_tokens(train::graph_tokens(train::plan_memory(memory), memory.recompute_every, room));
  train::Trainer trainer(
      decoder_loss(decoder, 0), adapters.named_parameters(), [&batches](int64_t) { return batches; }, trainer_options);
  trainer.set_training_with([&decoder](bool on) { decoder->train(on); }).observe(times);
  watch_phases(trainer, bench->situation);
  if (!options.profile.empty()) trainer.observe(std::make_shared<StepProfile>(options.warmup + options.steps, options.profile));
  const auto result = trainer.run();

  const auto tokens = static_cast<double>(batches.tokens());
  const double median = times->quantile(0.5), tokens_per_second = tokens / median;
  const double flop = weight_flop_per_token(shape, memory.recompute_every, static_cast<double>(batches.supervised_tokens()) / tokens);
  const int64_t peak = train::peak_memory_bytes(device), reserved = train::peak_reserved_bytes(device);
  const double gemm_rate = measured_gemm_rate(device, bench->type());  // last: it needs memory of its own
  return {{"setting", setting_json(options, dtype, device)},
          {"step_seconds_median", median},
          {"step_seconds_p10", times->quantile(0.1)},
          {"step_seconds_p90", times->quantile(0.9)},
          {"tokens_per_second", tokens_per_second},
          {"peak_memory_bytes", peak},
          {"predicted_peak_memory_bytes", train::plan_memory(memory).total()},
          {"predicted_pinned_host_bytes", train::plan_memory(memory).pinned_host},
          {"recompute_every", memory.recompute_every},
          {"peak_reserved_bytes", reserved > 0 ? Json(reserved) : Json()},
          {"start_to_first_step_seconds", times->first_step_ended()},
          {"gemm_flops_per_second", gemm_rate},
          {"flop_per_token", flop},
          {"share_of_gemm", flop * tokens_per_second / gemm_rate},
          {"parameters", models::parameter_count(shape)},
          {"trainable_parameters", result.trainable_parameters},
          {"last_loss", result.loss}};
}

BenchRecord record_of(const Bench& bench, const Json& document) {
  const auto& options = bench.options;
  const int64_t recompute = bench.situation.inputs.recompute_every;
  BenchRecord record;
  record.device = machine_device(bench.device.str());
  record.shape = options.shape;
  record.dtype = bench.dtype, record.quant = options.quant, record.adapter_dtype = options.adapter_dtype;
  record.parameters = models::parameter_count(bench.shape);
  record.batch = options.batch, record.sequence = options.sequence, record.rank = options.rank;
  record.recompute_every = recompute, record.offload = bench.situation.inputs.offload && recompute > 0;
  record.dropout = options.dropout, record.supervised = options.supervised;
  record.tokens_per_second = document.at("tokens_per_second").get<double>();
  record.flop_per_token =
      document.at("flop_per_token").get<double>() + attention_flop_per_token(bench.shape, recompute, static_cast<double>(options.sequence));
  record.share_of_gemm = document.at("share_of_gemm").get<double>();
  record.date = template_date("");
  return record;
}

/// For `graft plan`. A bench whose result cannot be kept is a bench all the same.
void keep(const BenchRecord& record) {
  const fs::path path = bench_file();
  if (path.empty()) return;
  try {
    add_to_bench_file(path, record);
    log::info("kept in " + path.string() + " for the time that `graft plan` predicts");
  } catch (const Error& error) {
    log::warning("the result is not kept for `graft plan`: " + error.message() + " (" + error.where() + ")");
  }
}

}  // namespace

int run_bench_train_job(const JobRequest& request) {
  const auto shape = bench_shape(request.bench.shape);
  check_bench(request.bench, shape);
  const at::Device device = resolve_device(request.common.device);
  if (request.bench.offload && device.is_cpu())
    throw UsageError("--offload moves activations from a GPU to host memory, and the device is cpu").hint("leave --offload out");
  const std::string dtype = request.common.dtype.empty() ? "bf16" : request.common.dtype;
  Bench bench{request.bench, shape, device, dtype, memory_for_run(device), {}};
  bench.situation.device = device.str();
  bench.situation.room = bench.room;
  bench.situation.inputs = bench_memory(shape, request.bench, device, bench.type(), bench.room);
  bench.situation.bench = true;
  if (request.bench.offload && bench.situation.inputs.recompute_every == 0)
    log::warning("--offload has no effect: --recompute auto recomputes nothing here");
  return with_memory_advice(bench.situation, [&] {
    const Json document = measure(&bench);
    // A profiled step is slower, and packed rows take as long as their documents make them.
    if (bench.options.profile.empty() && bench.options.documents == 0) keep(record_of(bench, document));
    if (request.common.json)
      std::cout << dump_json(document, 2) << '\n';
    else
      print_text(document);
    return 0;
  });
}

}  // namespace graft::app
