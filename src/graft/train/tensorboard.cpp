#include "graft/train/tensorboard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

namespace graft::train {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

/// Little-endian on every machine graft runs on.
template <typename Number>
std::string raw(Number number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

// Protocol Buffers wire format: key = field << 3 | type (0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes).
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string key(int field, int type) { return varint(static_cast<uint64_t>(field << 3 | type)); }
std::string text_field(int field, const std::string& bytes) { return key(field, 2) + varint(bytes.size()) + bytes; }

// tensorflow.Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
std::string event(int64_t step, const std::string& payload) {
  return key(1, 1) + raw(now()) + key(2, 0) + varint(static_cast<uint64_t>(step)) + payload;
}

// Summary { repeated Value value = 1; }, Value { string tag = 1; float simple_value = 2; }
std::string summary(const std::vector<std::pair<std::string, double>>& scalars) {
  std::string values;
  for (const auto& [tag, value] : scalars) values += text_field(1, text_field(1, tag) + key(2, 5) + raw(static_cast<float>(value)));
  return text_field(5, values);
}

std::string record(const std::string& bytes) {
  const std::string length = raw(static_cast<uint64_t>(bytes.size()));
  return length + raw(masked_crc32c(length)) + bytes + raw(masked_crc32c(bytes));
}

/// Step of an event written above: the varint after the wall time.
int64_t step_of(std::string_view bytes) {
  uint64_t step = 0;
  int shift = 0;
  for (size_t i = 10; i < bytes.size() && shift < 63; ++i, shift += 7) {
    step |= static_cast<uint64_t>(bytes[i] & 0x7f) << shift;
    if ((bytes[i] & 0x80) == 0) break;
  }
  return static_cast<int64_t>(step);
}

size_t bytes_to_keep(std::string_view text, const RunStart& start) {
  size_t begin = 0;
  while (text.size() - begin >= 16) {
    uint64_t length = 0;
    std::memcpy(&length, text.data() + begin, sizeof length);
    if (length > text.size() - begin - 16) break;
    const auto bytes = text.substr(begin + 12, length);
    if (raw(masked_crc32c(bytes)) != text.substr(begin + 12 + length, 4)) break;
    const bool evaluation = bytes.find("eval/loss") != std::string_view::npos;
    if (step_of(bytes) > (evaluation ? start.evaluated_step : start.step)) break;
    begin += 16 + length;
  }
  return begin;
}

std::optional<std::filesystem::path> existing_events(const std::filesystem::path& directory) {
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) return entry.path();
  return std::nullopt;
}

}  // namespace

uint32_t masked_crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> entries{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78u : 0u);
      entries[i] = value;
    }
    return entries;
  }();
  uint32_t crc = ~0u;
  for (const char byte : bytes) crc = table[(crc ^ static_cast<uint8_t>(byte)) & 0xff] ^ (crc >> 8);
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

void TensorBoard::on_start(const RunStart& start) {
  const auto found = existing_events(directory_);
  path_ = found ? *found : directory_ / ("events.out.tfevents." + std::to_string(static_cast<int64_t>(now())) + ".graft");
  file_ = FileDescriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (file_.get() < 0) throw_io_error("cannot open the TensorBoard file", path_, errno);
  const std::string text = read_file(path_);
  const size_t keep = bytes_to_keep(text, start);
  if (keep < text.size() && ::ftruncate(file_.get(), static_cast<off_t>(keep)) != 0)
    throw_io_error("cannot drop the events after the checkpoint", path_, errno);
  if (keep == 0) write_all(file_.get(), record(event(0, text_field(3, "brain.Event:2"))), path_);
}

void TensorBoard::on_step(const StepRow& row, bool logged) {
  if (!logged) return;
  append(row.step, {{"train/loss", row.loss},
                    {"train/learning_rate", row.learning_rate},
                    {"train/grad_norm", row.grad_norm},
                    {"train/epoch", row.epoch},
                    {"train/tokens", static_cast<double>(row.tokens)},
                    {"train/tokens_per_second", row.tokens_per_second},
                    {"train/peak_memory_bytes", static_cast<double>(row.peak_memory_bytes)}});
}

void TensorBoard::on_evaluation(const EvaluationRow& row) {
  append(row.step, {{"eval/loss", row.eval_loss}, {"eval/accuracy", row.eval_accuracy}});
}

void TensorBoard::append(int64_t step, const std::vector<std::pair<std::string, double>>& scalars) {
  write_all(file_.get(), record(event(step, summary(scalars))), path_);
}

void TensorBoard::flush() {
  if (file_.get() >= 0 && ::fsync(file_.get()) != 0 && errno != EINVAL) throw_io_error("cannot flush the TensorBoard file", path_, errno);
}

}  // namespace graft::train
