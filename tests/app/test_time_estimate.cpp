#include "graft/app/time_estimate.h"

#include <algorithm>
#include <filesystem>

#include "graft/app/step_flop.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace graft;
using namespace graft::app;

namespace {

BenchRecord record(int64_t parameters, double speed) {
  BenchRecord made;
  made.device = "GPU", made.shape = "llama-8b", made.dtype = "bf16", made.quant = "none", made.adapter_dtype = "fp32";
  made.parameters = parameters, made.batch = 4, made.sequence = 2048, made.rank = 16;
  made.tokens_per_second = speed;
  made.flop_per_token = 4.0 * static_cast<double>(parameters);
  made.date = "2026-11-24";
  return made;
}

TimeQuery query() {
  TimeQuery made;
  made.device = "GPU", made.dtype = "bf16", made.quant = "none";
  made.parameters = 8'000'000'000, made.micro_tokens = 8192, made.length = 2048;
  made.flop_per_token = 4.0 * 8e9;
  made.tokens = 1e6;
  return made;
}

models::DecoderOptions small_shape() {
  models::DecoderOptions shape;
  shape.layers = 4, shape.hidden_size = 64, shape.intermediate_size = 128, shape.attention_heads = 4, shape.key_value_heads = 2;
  shape.head_size = 16, shape.vocabulary_size = 512;
  return shape;
}

}  // namespace

TEST_CASE("operations per token are the products with the weights and the squares of attention", "[app]") {
  const auto shape = small_shape();
  const double block = 64 * 64 * 2 + 64 * 32 * 2 + 64 * 128 * 3, head = 64 * 512;
  CHECK(weight_flop_per_token(shape, 0, 1) == 4 * (4 * block + head));
  CHECK(weight_flop_per_token(shape, 1, 1) == 6 * 4 * block + 4 * head);
  CHECK(weight_flop_per_token(shape, 2, 0.5) == 5 * 4 * block + 2 * head);
  CHECK(weight_flop_per_token(shape, 0, 1, /*full=*/true) == 6 * (4 * block + head));
  // Forward: 2 products x 2 operations x 64 numbers x 100 / 2 positions, in 4 layers; backward 2.5 times that.
  CHECK(attention_flop_per_token(shape, 0, 100) == Approx(3.5 * 4 * 2 * 2 * 64 * 50));
  CHECK(attention_flop_per_token(shape, 1, 100) == Approx(4.5 * 4 * 2 * 2 * 64 * 50));
}

TEST_CASE("time is scaled from the nearest record of the same device, dtype and kind of base", "[app]") {
  auto small = record(1'000'000'000, 60000), same = record(8'000'000'000, 10000), quantized = same, half = same, other = same;
  quantized.quant = "nf4", quantized.tokens_per_second = 9000;
  half.dtype = "fp16", half.tokens_per_second = 1;
  other.device = "another GPU", other.tokens_per_second = 2;

  auto found = estimate_time(query(), {small, quantized, half, other, same});
  REQUIRE(found);
  CHECK(found->tokens_per_second == Approx(10000));
  CHECK(found->seconds == Approx(100));
  CHECK(found->record.parameters == same.parameters);

  found = estimate_time(query(), {small, half, other});  // eight times the operations of the one that is left
  REQUIRE(found);
  CHECK(found->tokens_per_second == Approx(60000.0 / 8));

  auto four_bit = query();
  four_bit.quant = "fp4";  // another 4-bit format costs the same
  found = estimate_time(four_bit, {same, quantized});
  REQUIRE(found);
  CHECK(found->tokens_per_second == Approx(9000));

  CHECK_FALSE(estimate_time(query(), {half, other, quantized}));
  CHECK_FALSE(estimate_time(query(), {}));
}

TEST_CASE("the nearer setting is taken among those of one size", "[app]") {
  auto short_rows = record(8'000'000'000, 5000), long_rows = record(8'000'000'000, 10000), recomputed = record(8'000'000'000, 7000);
  short_rows.sequence = 256;
  recomputed.recompute_every = 1;
  CHECK(estimate_time(query(), {short_rows, long_rows, recomputed})->record.sequence == 2048);
  CHECK(estimate_time(query(), {short_rows, long_rows, recomputed})->record.recompute_every == 0);
  auto asked = query();
  asked.recompute_every = 2;
  CHECK(estimate_time(asked, {short_rows, long_rows, recomputed})->record.recompute_every == 1);
  auto offloaded = recomputed;
  offloaded.offload = true;
  CHECK_FALSE(estimate_time(asked, {offloaded, recomputed})->record.offload);
  asked.offload = true;
  CHECK(estimate_time(asked, {recomputed, offloaded})->record.offload);
  asked = query();
  asked.length = 200, asked.micro_tokens = 1024;
  CHECK(estimate_time(asked, {short_rows, long_rows, recomputed})->record.sequence == 256);
}

TEST_CASE("the bench file keeps one record a setting and refuses what it is not", "[app]") {
  TemporaryDirectory directory;
  const auto path = directory / "deep/er/bench.json";
  CHECK(read_bench_file(path).empty());
  add_to_bench_file(path, record(1'000'000'000, 1));
  add_to_bench_file(path, record(8'000'000'000, 2));
  add_to_bench_file(path, record(1'000'000'000, 3));
  auto records = read_bench_file(path);
  REQUIRE(records.size() == 2);
  CHECK(records[0].tokens_per_second == 2);
  CHECK(records[1].tokens_per_second == 3);
  CHECK(records[1].same_setting(record(1'000'000'000, 7)));
  CHECK(to_json(records[1]) == to_json(record(1'000'000'000, 3)));

  for (const char* text :
       {"{\"format\": 1", "[]", "{\"format\": 2, \"records\": []}", "{\"format\": 1}", "{\"format\": 1, \"records\": [{}]}"}) {
    write_file(path, text);
    CHECK_THROWS_AS(read_bench_file(path), DataError);
  }
  auto offloaded = record(1'000'000'000, 4);
  offloaded.offload = true;
  CHECK_FALSE(offloaded.same_setting(record(1'000'000'000, 4)));
  auto earlier = to_json(record(1'000'000'000, 4));
  earlier.erase("offload_activations");  // as versions without offloading wrote it
  write_file(path, dump_json({{"format", 1}, {"records", {to_json(offloaded), earlier}}}, 2));
  records = read_bench_file(path);
  CHECK(records[0].offload);
  CHECK_FALSE(records[1].offload);

  auto zero = record(1'000'000'000, 0);
  write_file(path, dump_json({{"format", 1}, {"records", {to_json(zero)}}}, 2));
  CHECK_THROWS_WITH(read_bench_file(path), Contains("not positive"));
  add_to_bench_file(path, record(1'000'000'000, 5));  // begun anew
  CHECK(read_bench_file(path).size() == 1);
}
