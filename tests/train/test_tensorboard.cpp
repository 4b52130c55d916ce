#include "graft/train/tensorboard.h"

#include <cstring>
#include <map>

#include "support/catch.h"
#include "support/temporary_directory.h"

using namespace graft::train;

namespace {

/// A reader written from the format's description, sharing no code with the writer.
struct Reader {
  std::string_view bytes;
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes[0]);
      bytes.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }
  template <typename Number>
  Number fixed() {
    Number value;
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes.remove_prefix(sizeof value);
    return value;
  }
  std::string_view block() {
    const auto size = varint();
    const auto result = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return result;
  }
};

/// Bitwise CRC-32C, from its definition.
uint32_t masked(std::string_view bytes) {
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
  }
  crc ^= 0xffffffff;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

/// step -> tag -> value of every record; checks both sums of each.
std::map<int64_t, std::map<std::string, float>> read_events(const std::filesystem::path& path) {
  const auto text = graft::read_file(path);
  std::map<int64_t, std::map<std::string, float>> result;
  Reader file{text};
  while (!file.bytes.empty()) {
    const auto head = file.bytes.substr(0, 8);
    const auto length = file.fixed<uint64_t>();
    REQUIRE(file.fixed<uint32_t>() == masked(head));
    Reader event{file.bytes.substr(0, length)};
    file.bytes.remove_prefix(length);
    REQUIRE(file.fixed<uint32_t>() == masked(event.bytes));
    int64_t step = 0;
    while (!event.bytes.empty()) {
      const auto key = event.varint();
      if (key == 9)
        REQUIRE(event.fixed<double>() > 1.6e9);  // wall time
      else if (key == 16)
        step = static_cast<int64_t>(event.varint());
      else if (key == 26)
        REQUIRE(event.block() == "brain.Event:2");
      else {
        REQUIRE(key == 42);
        Reader summary{event.block()};
        while (!summary.bytes.empty()) {
          REQUIRE(summary.varint() == 10);
          Reader value{summary.block()};
          REQUIRE(value.varint() == 10);
          const std::string tag(value.block());
          REQUIRE(value.varint() == 21);
          result[step][tag] = value.fixed<float>();
        }
      }
    }
  }
  return result;
}

std::filesystem::path only_file(const std::filesystem::path& directory) {
  std::filesystem::path found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    REQUIRE(found.empty());
    found = entry.path();
  }
  return found;
}

}  // namespace

TEST_CASE("the CRC has the published check value", "[train]") {
  const uint32_t crc = 0xe3069283;  // CRC-32C of "123456789" (RFC 3720, B.4 lists the algorithm)
  CHECK(masked_crc32c("123456789") == ((crc >> 15) | (crc << 17)) + 0xa282ead8u);
}

TEST_CASE("TensorBoard events can be parsed and a resumed run neither doubles nor loses one", "[train]") {
  TemporaryDirectory directory;
  StepRow row;
  {
    TensorBoard board(directory.path());
    board.on_start({});
    for (row.step = 1; row.step <= 300; ++row.step) {
      row.loss = 1.0 / static_cast<double>(row.step);
      board.on_step(row, row.step % 100 == 0);
    }
    board.on_evaluation({300, 0.5, 10, 0.75});
  }
  auto events = read_events(only_file(directory.path()));
  CHECK(events.size() == 3);
  CHECK(events[300]["train/loss"] == Approx(1.0 / 300));
  CHECK(events[300]["eval/accuracy"] == 0.75f);
  graft::write_file(only_file(directory.path()), graft::read_file(only_file(directory.path())) + "torn");
  RunStart start;
  start.step = 250;
  {
    TensorBoard board(directory.path());
    board.on_start(start);
    row.step = 300;
    board.on_step(row, true);
  }
  events = read_events(only_file(directory.path()));
  CHECK(events.size() == 3);
  CHECK(events[300].count("eval/loss") == 0);
  CHECK(events[200]["train/loss"] == Approx(1.0 / 200));
}
