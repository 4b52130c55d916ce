#include "graft/text/tokenizer/vocabulary.h"

#include "graft/text/tokenizer/hash.h"

namespace graft::text::tok {

void Vocabulary::reserve(size_t tokens) {
  entries_.reserve(tokens);
  by_id_.reserve(tokens);
  size_t slots = 64;
  while (slots < tokens * 2) slots *= 2;
  if (slots > slots_.size()) grow(slots);
}

size_t Vocabulary::slot_of(std::string_view token) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = hash_bytes(token) & mask;
  while (slots_[slot] != 0 && text(entries_[slots_[slot] - 1]) != token) slot = (slot + 1) & mask;
  return slot;
}

void Vocabulary::grow(size_t slots) {
  slots_.assign(slots, 0);
  for (size_t i = 0; i < entries_.size(); ++i) slots_[slot_of(text(entries_[i]))] = static_cast<uint32_t>(i + 1);
}

Vocabulary::Insertion Vocabulary::insert(std::string_view token, int32_t id) {
  if (slots_.size() < (entries_.size() + 1) * 2) grow(slots_.empty() ? 64 : slots_.size() * 2);
  const size_t slot = slot_of(token);
  if (slots_[slot] != 0) return Insertion::kTokenTwice;
  const auto index = static_cast<size_t>(id);
  if (index < by_id_.size() && by_id_[index] != 0) return Insertion::kIdTwice;
  entries_.push_back({static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(token.size()), id});
  bytes_.append(token);
  slots_[slot] = static_cast<uint32_t>(entries_.size());
  if (index >= by_id_.size()) by_id_.resize(index + 1, 0);
  by_id_[index] = static_cast<uint32_t>(entries_.size());
  return Insertion::kDone;
}

std::optional<int32_t> Vocabulary::find(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  const uint32_t found = slots_[slot_of(token)];
  if (found == 0) return std::nullopt;
  return entries_[found - 1].id;
}

std::optional<std::string_view> Vocabulary::token(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= by_id_.size() || by_id_[static_cast<size_t>(id)] == 0) return std::nullopt;
  return text(entries_[by_id_[static_cast<size_t>(id)] - 1]);
}

}  // namespace graft::text::tok
