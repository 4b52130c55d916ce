#include <limits>

#include "graft/base/error.h"
#include "graft/data/formats.h"

namespace graft::data {
namespace {

constexpr int64_t kMasked = -100;

std::vector<int32_t> read_ids(const Json& value, const std::string& field, int64_t bound, bool masks_allowed) {
  if (!value.is_array()) throw DataError("\"" + field + "\" is " + type_name(value) + ", expected a list of token ids");
  std::vector<int32_t> ids;
  ids.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    const Json& entry = value[i];
    const std::string where = field + "[" + std::to_string(i) + "]";
    if (!entry.is_number_integer()) throw DataError(where + " is " + type_name(entry) + ", expected a whole number");
    // A number above int64's range is stored unsigned and would wrap around.
    const bool too_large = entry.is_number_unsigned() && entry.get<uint64_t>() >= static_cast<uint64_t>(bound);
    const int64_t id = too_large ? bound : entry.get<int64_t>();
    if (masks_allowed && id == kMasked) {
      ids.push_back(static_cast<int32_t>(kMasked));
      continue;
    }
    if (too_large || id < 0)
      throw DataError(where + " is " + dump_json(entry) + ", outside the vocabulary of " + std::to_string(bound) + " tokens" +
                      (masks_allowed ? " and not -100" : ""));
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

/// Padding is no text to learn: without labels that leave it out it would be.
void check_attention_mask(const Json& mask, const std::string& field, const TokenRow& tokens, bool has_labels) {
  if (!mask.is_array() || mask.size() != tokens.ids.size())
    throw DataError("\"" + field + "\" is not a list of " + std::to_string(tokens.ids.size()) + " entries, one a token");
  for (size_t i = 0; i < mask.size(); ++i) {
    const bool attended = mask[i] == 1 || mask[i] == true;
    if (!attended && mask[i] != 0 && mask[i] != false)
      throw DataError(field + "[" + std::to_string(i) + "] is " + dump_json(mask[i]) + ", expected 0 or 1");
    if (!attended && !has_labels)
      throw DataError(field + "[" + std::to_string(i) + "] is 0, and no labels say that the token is not trained on")
          .hint("leave the padding out of input_ids (graft pads rows itself), or give labels with -100 there");
  }
}

}  // namespace

// {"input_ids": […], "labels": […]?, "attention_mask": […]?}: labels are not shifted, -100 is not trained on; without labels all tokens are
// trained on, so a mask must have no zeros then.
Example read_tokens(const RowView& row, const FormatContext& context) {
  const int64_t bound = context.vocabulary_size > 0 ? context.vocabulary_size : std::numeric_limits<int32_t>::max();
  TokenRow tokens;
  tokens.ids = read_ids(row.require("input_ids"), row.key("input_ids"), bound, false);
  if (tokens.ids.empty()) throw DataError("\"" + row.key("input_ids") + "\" is an empty list");
  const Json* labels = row.find("labels");
  tokens.labels = labels == nullptr ? tokens.ids : read_ids(*labels, row.key("labels"), bound, true);
  if (tokens.labels.size() != tokens.ids.size())
    throw DataError("\"" + row.key("labels") + "\" has " + std::to_string(tokens.labels.size()) + " entries and \"" + row.key("input_ids") +
                    "\" has " + std::to_string(tokens.ids.size()));
  if (const Json* mask = row.find("attention_mask"); mask != nullptr)
    check_attention_mask(*mask, row.key("attention_mask"), tokens, labels != nullptr);
  return tokens;
}

}  // namespace graft::data
