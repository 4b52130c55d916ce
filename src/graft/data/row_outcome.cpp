#include "graft/data/row_outcome.h"

#include <algorithm>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::data {
namespace {

using Overflow = DatasetOptions::Overflow;

Encoded slice(const Encoded& whole, size_t begin, size_t end) {
  const auto from = static_cast<std::ptrdiff_t>(begin), to = static_cast<std::ptrdiff_t>(end);
  return {{whole.ids.begin() + from, whole.ids.begin() + to}, {whole.labels.begin() + from, whole.labels.begin() + to}};
}

void cut(const Encoded& whole, size_t piece, RowOutcome& outcome) {
  outcome.cut = true;
  for (size_t begin = 0; begin < whole.ids.size();) {
    const size_t left = whole.ids.size() - begin;
    size_t length = std::min(piece, left);
    if (left - length == 1 && length > 2) --length;
    outcome.samples.push_back(slice(whole, begin, begin + length));
    begin += length;
  }
}

}  // namespace

void apply_length_policy(Encoded encoded, const DatasetOptions& options, RowOutcome& outcome) {
  const auto limit = static_cast<size_t>(options.max_length);
  if (encoded.ids.size() > limit) {
    if (options.on_overflow == Overflow::kError)
      throw DataError("the sample is " + format_count(static_cast<long long>(encoded.ids.size())) + " tokens long, max_length is " +
                      format_count(options.max_length))
          .hint("raise model.max_length, or set data.on_overflow: drop or truncate-right");
    if (options.on_overflow == Overflow::kTruncateRight) {
      encoded = slice(encoded, 0, limit);
      outcome.truncated = true;
    } else if (options.pretrain) {
      cut(encoded, limit, outcome);
      return;
    } else {
      outcome.kind = RowOutcome::Kind::kTooLong;
      return;
    }
  }
  if (count_supervised(encoded.labels.data(), encoded.labels.size()) == 0) {
    outcome.kind = RowOutcome::Kind::kUnsupervised;
    return;
  }
  outcome.samples.push_back(std::move(encoded));
}

}  // namespace graft::data
