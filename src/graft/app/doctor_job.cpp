#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/nn.h>
#include <torch/version.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "graft/adapters/attach.h"
#include "graft/app/cuda_driver.h"
#include "graft/app/device.h"
#include "graft/app/jobs.h"
#include "graft/base/json.h"
#include "graft/base/strings.h"
#include "graft/base/version.h"

namespace graft::app {
namespace {

struct Check {
  std::string name;
  bool ok;
  std::string detail;
};

Check check_memory() {
  std::ifstream file("/proc/meminfo");
  double available = 0;
  for (std::string line; std::getline(file, line);)
    if (starts_with(line, "MemAvailable:")) available = std::stod(line.substr(13)) * 1024;
  return {"memory", available > 2e9, format_bytes(available) + " available" + (available > 2e9 ? "" : ": small models only")};
}

Check check_disk() {
  std::error_code ignored;
  const auto space = std::filesystem::space(".", ignored);
  const auto free = static_cast<double>(space.available);
  return {"disk", free > 5e9, format_bytes(free) + " free here" + (free > 5e9 ? "" : ": checkpoints may not fit")};
}

Check check_threads() {
  const int threads = at::get_num_threads();
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return {"threads", threads <= cores,
          std::to_string(threads) + " of " + std::to_string(cores) + " processors" +
              (threads <= cores ? "" : ": lower OMP_NUM_THREADS, they are in each other's way")};
}

// The one mechanism everything rests on: an adapted weight answers a plain torch::nn::Linear, with gradients, in this process.
Check check_adapted_weight(at::Device device) {
  try {
    torch::nn::Sequential model(torch::nn::Linear(4, 3));
    model->to(device);
    const auto input = at::ones({2, 4}, device);
    const auto before = model->forward(input);
    auto adapters = attach(*model, LoraOptions(2).targets("all-linear"));
    const auto after = model->forward(input);
    after.sum().backward();
    bool learns = true;
    for (const auto& parameter : adapters.parameters()) learns = learns && parameter.grad().defined();
    const bool same = at::equal(before, after);
    return {"adapted weight on " + device.str(), same && learns,
            same && learns ? "attach changes nothing at the start and gradients arrive" : "outputs or gradients are wrong"};
  } catch (const std::exception& error) {
    return {"adapted weight on " + device.str(), false, error.what()};
  }
}

std::vector<Check> gpu_checks() {
  std::vector<Check> checks;
  const DriverFacts driver = ask_driver();
  if (driver.gpus.empty()) return {{"GPU", true, "none: " + (driver.problem.empty() ? "the driver sees no device" : driver.problem)}};
  for (const auto& gpu : driver.gpus)
    checks.push_back({"GPU", true, gpu.name + ", " + format_bytes(static_cast<double>(gpu.memory_bytes))});
  try {
    const at::Device device = resolve_device("cuda");
    checks.push_back({"LibTorch on the GPU", true, "usable"});
    checks.push_back(check_adapted_weight(device));
  } catch (const std::exception& error) {
    checks.push_back({"LibTorch on the GPU", false, error.what()});
  }
  return checks;
}

}  // namespace

int run_doctor_job(const JobRequest& request) {
  // LibTorch's CUDA library must be opened before anything asks LibTorch about devices.
  const auto gpu = gpu_checks();
  std::vector<Check> checks = {{"graft", true, kVersion},
                               {"LibTorch", starts_with(TORCH_VERSION, "2.11."), TORCH_VERSION},
                               check_threads(),
                               check_memory(),
                               check_disk(),
                               check_adapted_weight(at::kCPU)};
  checks.insert(checks.end(), gpu.begin(), gpu.end());

  bool healthy = true;
  Json list = Json::array();
  for (const auto& check : checks) {
    healthy = healthy && check.ok;
    if (request.common.json)
      list.push_back({{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}});
    else
      std::cout << (check.ok ? "ok    " : "TRAP  ") << check.name << ": " << check.detail << '\n';
  }
  if (request.common.json) std::cout << dump_json({{"healthy", healthy}, {"checks", list}}, 2) << '\n';
  return 0;
}

}  // namespace graft::app
