#include "graft/app/data_inspect.h"

#include <algorithm>

#include "graft/app/run_data.h"
#include "graft/base/json.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/data/collate.h"

namespace graft::app {
namespace {

Json statistics_json(const data::DatasetStatistics& s) {
  return {{"lines", s.lines},
          {"samples", s.samples},
          {"skipped_bad", s.skipped_bad},
          {"dropped_long", s.dropped_long},
          {"truncated", s.truncated},
          {"dropped_unsupervised", s.dropped_unsupervised},
          {"tokens", s.tokens},
          {"supervised_tokens", s.supervised_tokens},
          {"longest", s.longest}};
}

/// The text of the ids. One that is in the model's vocabulary but has no token, as padding to a round size has none, is shown as `<id N>`.
std::string text_of(const text::Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string text;
  std::vector<int32_t> known;
  const auto flush = [&] {
    if (!known.empty()) text += tokenizer.decode(known);
    known.clear();
  };
  for (const int32_t id : ids) {
    if (tokenizer.id_to_token(id)) {
      known.push_back(id);
    } else {
      flush();
      text += "<id " + std::to_string(id) + ">";
    }
  }
  flush();
  return text;
}

// Runs of equal "carries loss" decoded together: a token alone may be half a character.
std::string marked_text(const text::Tokenizer& tokenizer, const data::Batch& batch, bool color) {
  std::string out;
  for (size_t begin = 0; begin < batch.ids.size();) {
    const bool trained = batch.labels[begin] >= 0;
    size_t end = begin;
    while (end < batch.ids.size() && (batch.labels[end] >= 0) == trained) ++end;
    const auto first = batch.ids.begin() + static_cast<std::ptrdiff_t>(begin), last = batch.ids.begin() + static_cast<std::ptrdiff_t>(end);
    const std::string piece = text_of(tokenizer, std::vector<int32_t>(first, last));
    if (color)
      out += (trained ? "\033[32m" : "\033[2m") + piece + "\033[0m";
    else
      out += trained ? "[[" + piece + "]]" : piece;
    begin = end;
  }
  return out;
}

}  // namespace

void inspect_data(const recipe::Recipe& recipe, int64_t limit, bool json, bool color, std::ostream& out) {
  const RunData run = load_run_data(recipe);
  for (const auto& warning : run.warnings) log::warning(warning);
  const int64_t count = std::min<int64_t>(limit, static_cast<int64_t>(run.train_indices.size()));
  Json samples = Json::array();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = run.train_indices[static_cast<size_t>(i)];
    const data::Batch batch = data::inspect_sample(*run.train, index);
    if (json) {
      Json sample = {{"place", run.train->place(index)}};
      if (run.tokenizer) sample["text"] = text_of(*run.tokenizer, batch.ids);
      sample.update(
          {{"ids", batch.ids}, {"labels", batch.labels}, {"position_ids", batch.position_ids}, {"document_ids", batch.document_ids}});
      samples.push_back(std::move(sample));
    } else {
      out << "── " << run.train->place(index) << ": " << batch.tokens << " tokens, " << batch.supervised_tokens << " carry loss\n";
      out << (run.tokenizer ? marked_text(*run.tokenizer, batch, color) : dump_json(Json(batch.ids))) << "\n";
    }
  }
  const auto& statistics = run.train->statistics();
  if (json) {
    out << dump_json({{"samples", samples}, {"statistics", statistics_json(statistics)}}) << '\n';
  } else {
    out << "── " << format_count(statistics.samples) << " samples, " << format_count(statistics.tokens) << " tokens, "
        << format_count(statistics.supervised_tokens) << " carry loss; longest " << statistics.longest
        << "; dropped: " << statistics.dropped_long << " too long, " << statistics.dropped_unsupervised << " without a token to train on, "
        << statistics.skipped_bad << " bad\n";
  }
}

}  // namespace graft::app
