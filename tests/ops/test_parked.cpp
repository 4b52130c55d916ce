#include "graft/ops/parked.h"

#include <c10/core/Storage.h>
#include <c10/util/intrusive_ptr.h>

#include "graft/ops/recompute.h"
#include "ops/support.h"
#include "support/devices.h"

using namespace graft;
using namespace graft::testing;

namespace {

enum class Keep { kPlain, kOnDevice, kParked };

at::Tensor layer(const at::Tensor& x, const at::Tensor& weight) { return at::tanh(at::matmul(x, weight)) + x; }

/// A model of blocks, each with a weight; the last result's sum of squares is the loss.
struct Model {
  Model(int64_t blocks, int64_t rows, int64_t width, at::Device device, bool input_is_trained = true)
      : input(seeded_normal({rows, width}).to(device).requires_grad_(input_is_trained)) {
    for (int64_t i = 0; i < blocks; ++i)
      weights.push_back((seeded_normal({width, width}, at::kFloat, 2 + static_cast<uint64_t>(i)) / std::sqrt(static_cast<double>(width)))
                            .to(device)
                            .requires_grad_(true));
  }

  at::Tensor loss(Keep keep) const {
    ops::ParkedChain parked;
    auto hidden = input;
    for (const auto& weight : weights) {
      const auto block = [weight](const at::Tensor& x, ops::Pass) { return layer(x, weight); };
      hidden = keep == Keep::kPlain ? block(hidden, {}) : ops::recompute(block, hidden, keep == Keep::kParked ? &parked : nullptr);
    }
    return hidden.square().sum();
  }

  /// The gradients so far, which begin anew.
  std::vector<at::Tensor> take_gradients() {
    std::vector<at::Tensor> result;
    if (input.requires_grad()) result.push_back(std::exchange(input.mutable_grad(), at::Tensor()));
    for (auto& weight : weights) result.push_back(std::exchange(weight.mutable_grad(), at::Tensor()));
    return result;
  }

  std::vector<at::Tensor> gradients(Keep keep) {
    torch::autograd::backward({loss(keep)}, {});
    return take_gradients();
  }

  at::Tensor input;
  std::vector<at::Tensor> weights;
};

void require_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) REQUIRE(at::equal(a[i], b[i]));
}

}  // namespace

TEST_CASE("parked inputs change no gradient by a bit", "[ops]") {
  test::for_each_device([](at::Device device) {
    for (const int64_t blocks : {1, 2, 3, 7}) {
      for (const bool input_is_trained : {true, false}) {
        Model model(blocks, 4, 6, device, input_is_trained);
        const auto plain = model.gradients(Keep::kPlain);
        require_equal(model.gradients(Keep::kParked), plain);
        require_equal(model.gradients(Keep::kOnDevice), plain);
      }
    }
  });
}

TEST_CASE("copies and arithmetic do not overtake each other when the device lags behind the host", "[ops]") {
  test::for_each_device([](at::Device device) {
    // 16 MiB an input on a GPU: a copy takes as long as some blocks, and the memory given back is taken again at once.
    Model model(16, device.is_cpu() ? 8 : 4096, device.is_cpu() ? 16 : 1024, device);
    const auto plain = model.gradients(Keep::kPlain);
    for (int step = 0; step < 4; ++step) {
      model.loss(Keep::kParked);  // dropped at once: its copies may be under way
      require_equal(model.gradients(Keep::kParked), plain);
    }
  });
}

TEST_CASE("a retained graph fetches again, one that was not retained is refused", "[ops]") {
  test::for_each_device([](at::Device device) {
    Model model(5, 4, 6, device);
    const auto once = model.gradients(Keep::kPlain);
    const auto loss = model.loss(Keep::kParked);
    for (const bool retained : {true, true, false}) {
      torch::autograd::backward({loss}, {}, /*retain_graph=*/retained);
      require_equal(model.take_gradients(), once);
    }
    REQUIRE_THROWS_WITH(torch::autograd::backward({loss}, {}), Contains("backward through the graph a second time"));
  });
}

TEST_CASE("a block that recomputes blocks of its own may park their inputs too", "[ops]") {
  test::for_each_device([](at::Device device) {
    Model model(6, 4, 6, device);
    const auto plain = model.gradients(Keep::kPlain);
    for (const bool one_chain : {true, false}) {
      const auto outer = std::make_shared<ops::ParkedChain>();
      const auto inner = one_chain ? outer : std::make_shared<ops::ParkedChain>();
      auto hidden = model.input;
      for (size_t first = 0; first < 6; first += 3) {
        const auto group = [first, inner, &model](const at::Tensor& x, ops::Pass) {
          auto y = x;
          for (size_t i = first; i < first + 3; ++i) {
            const auto block = [weight = model.weights[i]](const at::Tensor& z, ops::Pass) { return layer(z, weight); };
            y = ops::recompute(block, y, inner.get());
          }
          return y;
        };
        hidden = ops::recompute(group, hidden, outer.get());
      }
      torch::autograd::backward({hidden.square().sum()}, {});
      require_equal(model.take_gradients(), plain);
    }
  });
}

TEST_CASE("the device keeps the last two of a chain, and in backward one and the next", "[ops]") {
  test::for_each_device([](at::Device device) {
    ops::ParkedChain chain;
    std::vector<std::shared_ptr<ops::Parked>> parked;
    std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> storages;
    for (int i = 0; i < 5; ++i) {
      const auto tensor = at::full({3, 4}, static_cast<double>(i), device);
      storages.emplace_back(tensor.storage().getWeakStorageImpl());
      parked.push_back(chain.park(tensor));
    }
    for (size_t i = 0; i < 5; ++i) {
      INFO("tensor " << i << " on " << device);
      REQUIRE(storages[i].expired() == (device.is_cuda() && i < 3));
    }
    for (size_t i = 5; i-- > 0;) {
      const auto tensor = parked[i]->fetch();
      REQUIRE(tensor.device() == device);
      REQUIRE(at::equal(tensor, at::full({3, 4}, static_cast<double>(i), device)));
    }
  });
}

TEST_CASE("what is parked comes back in its type and shape, whatever its strides", "[ops]") {
  test::for_each_device([](at::Device device) {
    for (const auto type : {at::kBFloat16, at::kHalf, at::kFloat, at::kDouble}) {
      const auto tensor = seeded_normal({3, 5, 4}).to(type).to(device);
      for (const auto& given : {tensor, tensor.transpose(0, 1), tensor.narrow(1, 1, 3)}) {
        ops::ParkedChain chain;
        const auto first = chain.park(given);
        for (int others = 0; others < 3; ++others) chain.park(tensor);
        REQUIRE(first->fetch().scalar_type() == type);
        REQUIRE(at::equal(first->fetch(), given));
      }
    }
  });
}
