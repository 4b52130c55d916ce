#include "graft/adapters/fp8_loader.h"

#include "graft/adapters/frozen_module.h"
#include "graft/adapters/stored_weight.h"
#include "graft/io/tensor_file.h"

namespace graft {
namespace {

class Fp8Linears final : public io::LinearLoader {
 public:
  explicit Fp8Linears(Fp8Options how) : how_(std::move(how)) {}

  bool takes(const std::string& path) const override { return path != "lm_head" && !detail::skips(how_.skip(), path); }
  std::vector<std::string> companions(const std::string&) const override { return {}; }
  bool check(const std::string&, const std::vector<int64_t>&, const io::ModelDirectory&) const override { return false; }
  double bytes_per_weight() const override { return 1; }
  void load(const std::shared_ptr<torch::nn::Module>& linear, const std::string& path, const io::ModelDirectory& directory,
            const at::TensorOptions& options) const override {
    const auto found = directory.at(path + ".weight");
    const auto dtype = c10::typeMetaToScalarType(options.dtype());
    auto stored = how_.store(reader_.read(found, dtype, options.device()), directory.path().string() + ": " + path + ".weight");
    io::release_pages(*found.file, *found.entry);
    detail::store_frozen(linear, path, std::move(stored.weight));
  }

 private:
  Fp8Options how_;
  mutable detail::StoredWeightReader reader_;
};

}  // namespace

std::shared_ptr<const io::LinearLoader> fp8_loader(const Fp8Options& how) { return std::make_shared<Fp8Linears>(how); }

}  // namespace graft
