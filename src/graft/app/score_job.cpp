// graft score: log-probabilities (and logits) of given texts, streamed into one safetensors file.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include <map>

#include "graft/app/input_lines.h"
#include "graft/app/job_model.h"
#include "graft/app/jobs.h"
#include "graft/app/json_lines.h"
#include "graft/app/template_date.h"
#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/io/safetensors.h"
#include "graft/models/family.h"

namespace graft::app {
namespace {

struct Line {
  std::vector<int32_t> ids;
  std::string place;
  at::Tensor log_probabilities;  // float32 [T-1] once computed
};

/// Rows of logits made at a time: bounds the memory beside the model for a vocabulary of 100,000 and more.
constexpr int64_t kRows = 512;

std::vector<Line> read_lines(const JobRequest& request, const models::DecoderOptions& options) {
  std::vector<Line> lines;
  Encoder encoder(request.model, request.adapter, template_date(request.template_date));
  bool warned = false;
  for_each_json_line(request.input, [&](const Json& value, const std::string& place) {
    auto ids = encoder.encode(value, /*add_generation_prompt=*/false, place);
    models::check_ids(ids, options.vocabulary_size, place);
    if (static_cast<int64_t>(ids.size()) > options.max_positions && !warned) {
      log::warning(place + " has " + std::to_string(ids.size()) + " tokens; the model was made for " +
                   std::to_string(options.max_positions));
      warned = true;
    }
    lines.push_back({std::move(ids), place, {}});
  });
  return lines;
}

std::string_view bytes_of(const at::Tensor& tensor) { return {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()}; }

/// Runs the model on one line; with a writer, appends the logits to it as they are made.
void score(models::Decoder& decoder, Line* line, io::SafetensorsWriter* writer) {
  const auto length = static_cast<int64_t>(line->ids.size());
  if (length == 0) {
    line->log_probabilities = at::empty({0}, at::kFloat);
    return;
  }
  const auto ids = at::tensor(at::ArrayRef<int32_t>(line->ids), at::kLong);
  const auto hidden = decoder->hidden_states(ids.unsqueeze(0).to(decoder->device()))[0];
  std::vector<at::Tensor> pieces;
  for (int64_t begin = 0; begin < length; begin += kRows) {
    const int64_t rows = std::min(kRows, length - begin);
    const auto logits = decoder->logits(hidden.narrow(0, begin, rows)).to(at::kFloat);
    if (writer != nullptr) writer->append(bytes_of(logits.cpu().contiguous()));
    const int64_t predicted = std::min(rows, length - 1 - begin);  // the last position predicts nothing we know
    if (predicted <= 0) continue;
    const auto targets = ids.narrow(0, begin + 1, predicted).to(decoder->device()).unsqueeze(1);
    pieces.push_back(at::log_softmax(logits.narrow(0, 0, predicted), -1).gather(1, targets).squeeze(1).cpu());
  }
  line->log_probabilities = pieces.empty() ? at::empty({0}, at::kFloat) : at::cat(pieces).contiguous();
  if (at::isnan(line->log_probabilities).any().item<bool>())
    throw NonFiniteError("the model's log-probabilities are not numbers")
        .at(line->place)
        .hint("a weight of the model or adapter is not a number, or too large");
}

/// Shapes of all tensors are known before the model runs, so that the file can be written as results come.
std::vector<io::TensorEntry> declare(const std::vector<Line>& lines, int64_t vocabulary, bool with_logits) {
  std::vector<io::TensorEntry> entries;
  const auto add = [&](const std::string& name, io::DType dtype, std::vector<int64_t> shape) {
    io::TensorEntry entry;
    entry.name = name;
    entry.dtype = dtype;
    entry.shape = std::move(shape);
    entries.push_back(std::move(entry));
  };
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto number = std::to_string(i);
    const auto length = static_cast<int64_t>(lines[i].ids.size());
    add("tokens." + number, io::DType::kI64, {length});
    add("logprobs." + number, io::DType::kF32, {std::max<int64_t>(0, length - 1)});
    if (with_logits) add("logits." + number, io::DType::kF32, {length, vocabulary});
  }
  return entries;
}

void write(models::Decoder& decoder, std::vector<Line>& lines, const JobRequest& request) {
  io::SafetensorsWriter writer(request.output, declare(lines, decoder->options().vocabulary_size, request.logits));
  for (const auto& entry : writer.order()) {  // logits.i comes before logprobs.i
    const auto dot = entry.name.find('.');
    auto& line = lines[std::stoull(entry.name.substr(dot + 1))];
    const auto kind = entry.name.substr(0, dot);
    if (kind == "tokens") {
      const std::vector<int64_t> wide(line.ids.begin(), line.ids.end());
      writer.append({reinterpret_cast<const char*>(wide.data()), wide.size() * sizeof(int64_t)});
    } else if (kind == "logits") {
      score(decoder, &line, &writer);
    } else {
      if (!line.log_probabilities.defined()) score(decoder, &line, nullptr);
      writer.append(bytes_of(line.log_probabilities));
    }
  }
  writer.finish();
}

void report(const std::vector<Line>& lines, const JobRequest& request) {
  int64_t tokens = 0, scored = 0;
  double sum = 0;
  for (const auto& line : lines) {
    tokens += static_cast<int64_t>(line.ids.size());
    scored += line.log_probabilities.numel();
    sum += line.log_probabilities.to(at::kDouble).sum().item<double>();
  }
  const double loss = scored > 0 ? -sum / static_cast<double>(scored) : 0;
  if (request.common.json) {
    std::puts(
        dump_json({{"output", request.output}, {"lines", lines.size()}, {"tokens", tokens}, {"scored_tokens", scored}, {"loss", loss}}, 2)
            .c_str());
  } else {
    log::info(request.output + ": " + format_count(static_cast<long long>(lines.size())) + " lines, " + format_count(tokens) +
              " tokens, loss " + std::to_string(loss));
  }
}

}  // namespace

int run_score_job(const JobRequest& request) {
  const at::NoGradGuard no_gradients;
  auto lines = read_lines(request, read_options(request));  // a bad line is found before the weights are read
  auto decoder = load_job_model(request);
  write(decoder, lines, request);
  report(lines, request);
  return 0;
}

}  // namespace graft::app
