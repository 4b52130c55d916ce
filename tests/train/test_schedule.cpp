#include "graft/train/schedule.h"

#include "graft/base/error.h"
#include "support/catch.h"

using graft::train::learning_rate;
using graft::train::ScheduleOptions;

namespace {

ScheduleOptions schedule(ScheduleOptions::Type type, int64_t warmup, double minimum = 0.0) {
  ScheduleOptions options;
  options.type = type;
  options.learning_rate = 1.0;
  options.warmup_steps = warmup;
  options.minimum = minimum;
  return options;
}

}  // namespace

TEST_CASE("warm-up rises linearly and reaches the peak on its last step", "[train]") {
  for (const auto type :
       {ScheduleOptions::Type::kConstant, ScheduleOptions::Type::kLinear, ScheduleOptions::Type::kCosine, ScheduleOptions::Type::kWsd}) {
    const auto options = schedule(type, 4);
    CHECK(learning_rate(options, 1, 12) == 0.25);
    CHECK(learning_rate(options, 2, 12) == 0.5);
    CHECK(learning_rate(options, 4, 12) == 1.0);
    CHECK(learning_rate(options, 5, 12) == 1.0);  // p = 0
  }
}

// Worked by hand from the formulas: N = 12, W = 4, p = (k-5)/8.
TEST_CASE("linear, cosine and wsd have the values worked out by hand", "[train]") {
  const auto linear = schedule(ScheduleOptions::Type::kLinear, 4, 0.2);
  CHECK(learning_rate(linear, 9, 12) == Approx(0.6));   // p = 1/2: 0.2 + 0.8/2
  CHECK(learning_rate(linear, 12, 12) == Approx(0.3));  // p = 7/8
  const auto cosine = schedule(ScheduleOptions::Type::kCosine, 4, 0.2);
  CHECK(learning_rate(cosine, 9, 12) == Approx(0.6));              // cos(pi/2) = 0
  CHECK(learning_rate(cosine, 7, 12) == Approx(0.8828427124746));  // p = 1/4: 0.2 + 0.4 (1 + sqrt(1/2))
  auto wsd = schedule(ScheduleOptions::Type::kWsd, 4, 0.2);
  wsd.decay_fraction = 0.25;  // the last 3 steps of 12: q = 0, 1/3, 2/3
  CHECK(learning_rate(wsd, 9, 12) == 1.0);
  CHECK(learning_rate(wsd, 10, 12) == 1.0);
  CHECK(learning_rate(wsd, 11, 12) == Approx(0.2 + 0.8 * 2 / 3));
  CHECK(learning_rate(wsd, 12, 12) == Approx(0.2 + 0.8 / 3));
}

TEST_CASE("without warm-up the first step has the peak", "[train]") {
  CHECK(learning_rate(schedule(ScheduleOptions::Type::kCosine, 0), 1, 10) == 1.0);
  CHECK(learning_rate(schedule(ScheduleOptions::Type::kConstant, 0), 10, 10) == 1.0);
}

TEST_CASE("a run that is all warm-up ends at the peak", "[train]") {
  CHECK(learning_rate(schedule(ScheduleOptions::Type::kLinear, 5), 5, 5) == 1.0);
  CHECK(learning_rate(schedule(ScheduleOptions::Type::kWsd, 5), 3, 5) == Approx(0.6));
}

TEST_CASE("a schedule that cannot be is refused with the reason", "[train]") {
  auto options = schedule(ScheduleOptions::Type::kLinear, 20);
  CHECK_THROWS_WITH(check(options, 10), Contains("longer than the run"));
  options.warmup_steps = 0;
  options.minimum = 2.0;
  CHECK_THROWS_WITH(check(options, 10), Contains("min_lr"));
  CHECK_THROWS_WITH(graft::train::parse_schedule("cosin"), Contains("cosine"));
}
