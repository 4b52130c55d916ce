#include "graft/train/peak_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace graft::train {
namespace {

int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::strtoll(line.c_str() + 6, nullptr, 10) * 1024;
  return 0;
}

int64_t aggregate_peak(c10::Device device, const c10::CachingAllocator::StatArray c10::CachingDeviceAllocator::DeviceStats::*statistic) {
  auto* allocator = at::getDeviceAllocator(device.type());
  if (allocator == nullptr || !allocator->initialized()) return 0;
  const auto stats = allocator->getDeviceStats(device.index() < 0 ? 0 : device.index());
  return (stats.*statistic)[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

}  // namespace

int64_t peak_memory_bytes(c10::Device device) {
  return device.is_cpu() ? peak_resident_bytes() : aggregate_peak(device, &c10::CachingDeviceAllocator::DeviceStats::allocated_bytes);
}

int64_t peak_reserved_bytes(c10::Device device) {
  return device.is_cpu() ? 0 : aggregate_peak(device, &c10::CachingDeviceAllocator::DeviceStats::reserved_bytes);
}

}  // namespace graft::train
