#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "graft/quant/four_bit.h"

namespace graft::app {

/// Paths of Linears with their weights.
using PackedList = std::vector<std::pair<std::string, quant::FourBitTensor>>;

struct PackedTarget {
  std::filesystem::path directory;  ///< of the copy: appears whole or not at all
  std::string key, model;
  bool replace = false;  ///< what is there is damaged
};

/// Writes a packed copy: model.safetensors with the weights in bitsandbytes' layout, and its manifest with their checksums. One process
/// writes, others that want the same copy leave it to that one (flock on DIRECTORY.lock). False when nothing was written: another process
/// does or did it, the disk has no room, it failed (each said in one line), `stop` was set or a signal came meanwhile (looked at a few
/// times a second). Tensors may be on any device; one weight's codes at a time are brought to the host.
bool write_packed(const PackedTarget& target, const PackedList& weights, const std::atomic<bool>& stop);

/// The same on a thread of its own. The destructor stops it; what was begun is removed.
class PackedWriter {
 public:
  PackedWriter(PackedTarget target, PackedList weights);
  ~PackedWriter();
  PackedWriter(const PackedWriter&) = delete;
  PackedWriter& operator=(const PackedWriter&) = delete;
  void wait();

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace graft::app
