#include "graft/recipe/problems.h"

#include <algorithm>

#include "graft/base/error.h"

namespace graft::recipe {
namespace {

constexpr size_t kMostShown = 40;       // a binary file should not fill the screen
constexpr size_t kMostCollected = 100;  // then the rest is not looked for

std::string headline(const Problem& problem) { return (problem.place.empty() ? "" : problem.place + ": ") + problem.message; }

std::string block(const Problem& problem) {
  std::string text = headline(problem);
  if (!problem.nearest.empty()) text += "\n  did you mean: " + problem.nearest;
  if (!problem.hint.empty()) text += "\n  do: " + problem.hint;
  return text;
}

}  // namespace

std::string shortened(const std::string& text, size_t most) {
  std::string result = text.substr(0, most);
  if (text.size() > most) {
    while (!result.empty() && (static_cast<unsigned char>(text[result.size()]) & 0xC0) == 0x80) result.pop_back();
    result += "…";
  }
  for (char& byte : result) {
    if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F) byte = '?';
  }
  return result;
}

void throw_problem(const Problem& problem) {
  throw RecipeError(headline(problem)).nearest(problem.nearest).hint(problem.hint);  // empty ones are not printed
}

void Problems::add(Problem problem) {
  list_.push_back(std::move(problem));
  if (list_.size() >= kMostCollected) throw_if_any();
}

void Problems::throw_if_any() const {
  if (list_.empty()) return;
  if (list_.size() == 1) throw_problem(list_.front());
  std::string text =
      "the recipe has " + std::string(list_.size() >= kMostCollected ? "at least " : "") + std::to_string(list_.size()) + " problems";
  for (size_t i = 0; i < std::min(list_.size(), kMostShown); ++i) text += "\n\n" + block(list_[i]);
  if (list_.size() > kMostShown) text += "\n\n… and " + std::to_string(list_.size() - kMostShown) + " more";
  throw RecipeError(text);
}

}  // namespace graft::recipe
