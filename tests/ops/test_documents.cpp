#include "graft/ops/documents.h"

#include "ops/support.h"

using namespace graft;
using namespace graft::testing;

TEST_CASE("documents are found in packed rows, and positions restart in each", "[ops]") {
  const auto ids = at::tensor({0, 0, 1, 1, 1, -1, 0, 1, 2, -1, -1, -1}, at::kInt).view({2, 6});
  const auto documents = ops::Documents::from_ids(ids);
  REQUIRE(documents.list().size() == 5);
  REQUIRE(documents.list()[1].row == 0);
  REQUIRE(documents.list()[1].begin == 2);
  REQUIRE(documents.list()[1].length == 3);
  REQUIRE_FALSE(documents.one_per_row());
  REQUIRE(documents.has_padding());
  REQUIRE(at::equal(documents.position_ids(), at::tensor({0, 1, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0}, at::kLong).view({2, 6})));
}

TEST_CASE("right-padded rows of one document need no positions and no mask", "[ops]") {
  const auto documents = ops::Documents::from_ids(at::tensor({0, 0, 0, 0, -1, -1}, at::kInt).view({2, 3}));
  REQUIRE(documents.one_per_row());
  REQUIRE(documents.has_padding());
  REQUIRE_FALSE(documents.position_ids().defined());
}

TEST_CASE("a document in two runs is refused with its place", "[ops]") {
  REQUIRE_THROWS_WITH(ops::Documents::from_ids(at::tensor({0, 1, 0}, at::kInt).view({1, 3})), Contains("row 0, position 2"));
}

TEST_CASE("empty batches and rows of padding have no documents", "[ops]") {
  REQUIRE(ops::Documents::whole_rows(2, 0).list().empty());
  REQUIRE(ops::Documents::from_ids(at::full({2, 3}, -1, at::kInt)).list().empty());
}

TEST_CASE("stretches cover the rows laid end to end: documents, and runs of padding between them", "[ops]") {
  const auto ids = at::tensor({-1, 0, 0, 1, 1, -1, 0, 0, 0, 0, 0, 0}, at::kInt).view({2, 6});
  const auto documents = ops::Documents::from_ids(ids);
  const auto& packed = documents.stretches(at::kCPU);
  REQUIRE(at::equal(packed.starts, at::tensor({0, 1, 3, 5, 6, 12}, at::kInt)));
  REQUIRE(packed.longest == 6);
  const auto whole = ops::Documents::whole_rows(3, 4);
  REQUIRE(at::equal(whole.stretches(at::kCPU).starts, at::tensor({0, 4, 8, 12}, at::kInt)));
  REQUIRE(whole.stretches(at::kCPU).longest == 4);
  const auto padding = ops::Documents::from_ids(at::full({2, 3}, -1, at::kInt));
  REQUIRE(at::equal(padding.stretches(at::kCPU).starts, at::tensor({0, 3, 6}, at::kInt)));
}
