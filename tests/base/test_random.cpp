#include "graft/base/random.h"

#include <set>

#include "support/catch.h"

using graft::RandomStream;

TEST_CASE("a stream is a pure function of its coordinates", "[base]") {
  REQUIRE(RandomStream(1, "init", 2, 3).next_u64() == RandomStream(1, "init", 2, 3).next_u64());
  const std::set<uint64_t> different = {RandomStream(1, "init", 2, 3).next_u64(), RandomStream(2, "init", 2, 3).next_u64(),
                                        RandomStream(1, "dropout", 2, 3).next_u64(), RandomStream(1, "init", 3, 2).next_u64(),
                                        RandomStream(1, "init", 2, 4).next_u64()};
  REQUIRE(different.size() == 5);
}

TEST_CASE("uniform and normal have the moments they should", "[base]") {
  RandomStream stream(7, "init");
  double uniform_sum = 0, normal_sum = 0, normal_squares = 0;
  constexpr int kCount = 200000;
  for (int i = 0; i < kCount; ++i) {
    uniform_sum += stream.uniform();
    const double value = stream.normal();
    normal_sum += value, normal_squares += value * value;
  }
  // Five standard errors of each mean.
  REQUIRE(uniform_sum / kCount == Approx(0.5).margin(5 * 0.2887 / 447));
  REQUIRE(normal_sum / kCount == Approx(0.0).margin(5.0 / 447));
  REQUIRE(normal_squares / kCount == Approx(1.0).margin(5 * 1.414 / 447));
}

TEST_CASE("a permutation holds every index once and changes with the epoch", "[base]") {
  const auto first = graft::random_permutation(100, 42, "shuffle", 0);
  REQUIRE(std::set<uint64_t>(first.begin(), first.end()).size() == 100);
  REQUIRE(first != graft::random_permutation(100, 42, "shuffle", 1));
  REQUIRE(first == graft::random_permutation(100, 42, "shuffle", 0));
}
