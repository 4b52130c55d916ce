#include <cmath>
#include <iostream>

#include "graft/app/job_model.h"
#include "graft/app/job_template.h"
#include "graft/app/jobs.h"
#include "graft/app/template_date.h"
#include "graft/base/error.h"
#include "graft/base/files.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/data/batch_plan.h"
#include "graft/data/formats.h"
#include "graft/data/row_reader.h"
#include "graft/data/source_files.h"
#include "graft/data/special_ids.h"
#include "graft/ops/linear_cross_entropy.h"
#include "graft/text/chat_template.h"
#include "graft/text/tokenizer.h"
#include "graft/train/evaluate.h"

namespace graft::app {
namespace {

// The format whose required fields the first row has.
std::string recognise_format(const data::SourceOptions& source) {
  const auto path = data::expand_source(source).front().string();
  data::Row row;
  const Json first = data::open_rows(path)->next(row) ? data::parse_row(row, path) : Json();
  std::vector<std::string> keys;
  if (first.is_object())
    for (const auto& item : first.items()) keys.push_back(item.key());
  for (const auto& format : data::formats()) {
    bool fits = !format.required.empty();
    for (const auto& field : format.required) fits = fits && first.is_object() && first.contains(field);
    if (fits) return format.name;
  }
  throw DataError("the first row fits no known format; its keys are " + enumerate(keys))
      .at(path)
      .hint("name one with --format: " + enumerate(data::format_names()));
}

// Null for a format that takes none; one that cannot do without says so itself.
std::unique_ptr<text::ChatTemplate> find_template(const JobRequest& request, const std::string& format_name) {
  const auto* format = data::find_format(format_name);
  if (format == nullptr || format->chat_template == data::Format::Template::kUnused) return nullptr;
  if (!has_job_template(request.model, request.adapter)) return nullptr;
  return std::make_unique<text::ChatTemplate>(load_job_template(request.model, request.adapter));
}

data::Dataset build_dataset(const JobRequest& request, const models::DecoderOptions& decoder, const text::Tokenizer* tokenizer) {
  data::DatasetOptions options;
  options.template_date = template_date(request.template_date);
  options.sources.resize(1);
  auto& source = options.sources[0];
  source.path = request.data;
  source.format = request.format.empty() ? recognise_format(source) : request.format;
  options.max_length = request.max_length > 0 ? std::min(request.max_length, decoder.max_positions) : decoder.max_positions;
  options.on_overflow = data::DatasetOptions::Overflow::kTruncateRight;
  options.eos_id = tokenizer != nullptr ? data::find_eos_id(request.model, *tokenizer) : -1;
  options.vocabulary_size = decoder.vocabulary_size;
  const auto chat_template = tokenizer != nullptr ? find_template(request, source.format) : nullptr;
  return data::Dataset::build(options, tokenizer, chat_template.get());
}

}  // namespace

int run_eval_job(const JobRequest& request) {
  const auto options = read_options(request);
  std::unique_ptr<text::Tokenizer> tokenizer;
  if (fs::exists(fs::path(request.model) / "tokenizer.json"))
    tokenizer = std::make_unique<text::Tokenizer>(text::Tokenizer::load(request.model));
  const auto dataset = build_dataset(request, options, tokenizer.get());

  auto decoder = load_job_model(request);
  data::BatchPlanOptions batching;
  batching.shuffle = false;
  batching.packing = data::BatchPlanOptions::Packing::kNone;
  batching.max_length = options.max_positions;
  batching.micro_sequences = batching.sequences_per_step = 8;
  const data::BatchPlan plan(dataset, dataset.split(0.0, 0).first, batching);
  const auto loss = [&](const train::DeviceBatch& batch) {
    const auto hidden = decoder->hidden_states(batch.ids, {batch.position_ids, batch.document_ids});
    const auto result = ops::linear_cross_entropy(hidden.reshape({-1, hidden.size(-1)}), decoder->output_weight(),
                                                  batch.targets.reshape(-1), batch.supervised_rows, /*correct=*/true);
    return train::LossResult{result.loss_sum, result.correct};
  };
  const auto found = train::evaluate(loss, plan.all_batches(), decoder->device());
  if (!std::isfinite(found.loss()))
    throw NonFiniteError("the loss is not finite").at(request.model).hint("a weight of the model or adapter is not a number, or too large");
  const auto& statistics = dataset.statistics();
  if (request.common.json) {
    std::cout << dump_json({{"loss", found.loss()},
                            {"perplexity", std::exp(found.loss())},
                            {"accuracy", found.accuracy()},
                            {"tokens", found.tokens},
                            {"supervised_tokens", found.supervised_tokens},
                            {"samples", statistics.samples},
                            {"truncated", statistics.truncated}},
                           2)
              << '\n';
  } else {
    char text[200];
    std::snprintf(text, sizeof text, "loss %.6f   perplexity %.4f   accuracy %.4f   %s samples, %s tokens, %s carry loss", found.loss(),
                  std::exp(found.loss()), found.accuracy(), format_count(statistics.samples).c_str(), format_count(found.tokens).c_str(),
                  format_count(found.supervised_tokens).c_str());
    std::cout << text << '\n';
  }
  if (statistics.truncated > 0) log::warning(format_count(statistics.truncated) + " samples were cut to the maximum length");
  return 0;
}

}  // namespace graft::app
