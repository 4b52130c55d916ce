#include "graft/app/packed_cache.h"

#include "graft/adapters/four_bit_files.h"
#include "graft/app/cache_home.h"
#include "graft/app/packed_checksum.h"
#include "graft/app/quantized_base.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/io/tensor_dtype.h"
#include "graft/models/host_memory.h"

namespace graft::app {
namespace {

/// Of the host's memory: what a copy of a GPU's packed weights may take while it is written.
constexpr double kShareOfHost = 0.25;

bool host_holds(int64_t bytes) {
  const auto limit = static_cast<double>(models::host_memory_limit());
  return limit == 0 || static_cast<double>(bytes) < kShareOfHost * limit;
}

/// A flipped bit in codes or scales gives numbers like any other: nothing but their checksum tells.
void check_bytes(const PackedCopy& copy, const std::string& path) {
  auto names = detail::four_bit_companions(path);
  names.push_back(path + ".weight");
  for (const auto& name : names) {
    const auto tensor = copy.directory.find(name);
    if (!tensor) continue;  // of two forms of the state there is one; what is really missing, reading finds
    const auto saved = copy.checksums.find(name);
    if (saved == copy.checksums.end() || packed_checksum(*tensor->file, *tensor->entry) != saved->second)
      throw DataError(name + " is not what was written (its checksum differs)").at(copy.directory.path().string());
  }
}

}  // namespace

std::shared_ptr<PackedCache> PackedCache::open(const recipe::Recipe& recipe, const std::string& base_fingerprint) {
  // FP8 takes a cast and a look at each row: reading a packed copy would save too little to keep one.
  if (recipe.quant.type == "none" || recipe.quant.type == "fp8" || recipe.model.init == "random") return nullptr;
  const fs::path directory = cache_directory(recipe.quant.cache, "quantized");
  if (directory.empty()) return nullptr;
  const auto base = quantized_base(recipe);
  if (!base || base->stored) return nullptr;
  const io::ModelDirectory model(recipe.model.path);
  return std::make_shared<PackedCache>(recipe, fs::absolute(directory), packed_key(recipe, model, base_fingerprint));
}

PackedCache::PackedCache(const recipe::Recipe& recipe, const fs::path& directory, const std::string& key)
    : target_{directory / key, key, fs::absolute(recipe.model.path).string(), false},
      type_(recipe.quant.type),
      dtype_(recipe.model.dtype),
      double_quant_(recipe.quant.double_quant),
      block_(recipe.quant.block) {
  std::error_code unreadable;  // a directory that may not be looked into holds no copy; writing there will say why
  if (!fs::exists(target_.directory, unreadable)) return;
  try {
    stored_.emplace(open_packed(target_.directory, key));
    log::info("reading 4-bit weights (" + format_bytes(static_cast<double>(stored_->directory.weight_bytes())) + ") from " +
              target_.directory.string());
  } catch (const Error& error) {
    give_up(error.message());
  }
}

void PackedCache::give_up(const std::string& why) {
  log::warning("the 4-bit weights kept in " + target_.directory.string() + " cannot be used: " + why + "; quantizing again");
  stored_.reset();
  target_.replace = true;
}

quant::FourBitTensor PackedCache::checked(quant::FourBitTensor tensor, const std::string& path) const {
  if (quant::to_string(tensor.type) == type_ && tensor.nested() == double_quant_ && tensor.block == block_ &&
      tensor.dtype == dtype_of(dtype_))
    return tensor;
  throw DataError("a weight is stored in another form").at(target_.directory.string() + ": " + path);
}

std::optional<quant::FourBitTensor> PackedCache::find(const std::string& path, const std::vector<int64_t>& shape, at::Device device) {
  if (!stored_) return std::nullopt;
  try {
    check_bytes(*stored_, path);
    auto tensor = checked(detail::read_four_bit(stored_->directory, path, shape, device), path);
    weights_.emplace_back(path, tensor);  // part of the copy that replaces this one, should a later weight be damaged
    return tensor;
  } catch (const Error& error) {
    give_up(error.message());
    return std::nullopt;
  }
}

void PackedCache::add(const std::string& path, const quant::FourBitTensor& tensor) {
  weights_.emplace_back(path, tensor);
  quantized_ = true;
}

void PackedCache::save() {
  PackedList weights = std::exchange(weights_, {});
  if (!std::exchange(quantized_, false)) return;
  int64_t bytes = 0;
  bool on_host = true;
  for (const auto& [path, tensor] : weights) bytes += tensor.bytes(), on_host = on_host && tensor.codes.device().is_cpu();
  if (!on_host && !host_holds(bytes)) {
    const std::atomic<bool> stop{false};
    write_packed(target_, weights, stop);
    return;
  }
  // Copied now: no other thread may use the GPU while the training thread records a CUDA graph.
  if (!on_host)
    for (auto& [path, tensor] : weights) tensor.move(at::kCPU);
  writer_ = std::make_unique<PackedWriter>(target_, std::move(weights));
}

void PackedCache::wait() {
  if (writer_) writer_->wait();
}

}  // namespace graft::app
