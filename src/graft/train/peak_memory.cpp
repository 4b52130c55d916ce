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

}  // namespace

int64_t peak_memory_bytes(c10::Device device) {
  if (device.is_cpu()) return peak_resident_bytes();
  auto* allocator = at::getDeviceAllocator(device.type());
  if (allocator == nullptr || !allocator->initialized()) return 0;
  const auto stats = allocator->getDeviceStats(device.index() < 0 ? 0 : device.index());
  return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

}  // namespace graft::train
