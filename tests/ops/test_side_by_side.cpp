#include "graft/ops/side_by_side.h"

#include "ops/support.h"

using graft::ops::side_by_side;
using graft::testing::seeded_normal;

TEST_CASE("matrices that lie one after the other are seen as one", "[ops]") {
  const auto whole = seeded_normal({6, 10});
  const std::vector<at::Tensor> columns{whole.narrow(1, 0, 3), whole.narrow(1, 3, 1), whole.narrow(1, 4, 6)};
  const std::vector<at::Tensor> rows{whole.narrow(0, 0, 2), whole.narrow(0, 2, 4)};
  CHECK(at::equal(side_by_side(columns, 1), whole));
  CHECK(at::equal(side_by_side(rows, 0), whole));
  CHECK(side_by_side(rows, 0).const_data_ptr() == whole.const_data_ptr());
  CHECK(at::equal(side_by_side({columns[1], columns[2]}, 1), whole.narrow(1, 3, 7)));
}

TEST_CASE("a gap, another order, another memory or another shape is not one matrix", "[ops]") {
  const auto whole = seeded_normal({6, 10}), other = seeded_normal({6, 10});
  CHECK_FALSE(side_by_side({whole.narrow(1, 0, 3), whole.narrow(1, 4, 6)}, 1).defined());
  CHECK_FALSE(side_by_side({whole.narrow(1, 3, 7), whole.narrow(1, 0, 3)}, 1).defined());
  CHECK_FALSE(side_by_side({whole.narrow(1, 0, 3), other.narrow(1, 3, 7)}, 1).defined());
  CHECK_FALSE(side_by_side({whole.narrow(0, 0, 2), whole.narrow(0, 3, 3)}, 0).defined());
  CHECK_FALSE(side_by_side({whole, whole}, 1).defined());
  CHECK_FALSE(side_by_side({whole.narrow(1, 0, 3).narrow(0, 0, 2), whole.narrow(1, 0, 3).narrow(0, 2, 4)}, 0).defined());
  CHECK_FALSE(side_by_side({whole.t().narrow(1, 0, 3), whole.t().narrow(1, 3, 3)}, 1).defined());
  CHECK_FALSE(side_by_side({whole.narrow(1, 0, 3), whole.narrow(1, 3, 7).narrow(0, 0, 5)}, 1).defined());
}
