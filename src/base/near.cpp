#include "base/near.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

namespace covey {

std::string_view near_match(std::string_view word, std::span<const std::string_view> known) {
  constexpr std::size_t kLongest = 64;
  std::string_view best;
  std::size_t least = 3;
  if (word.size() > kLongest) return best;
  for (const std::string_view candidate : known) {
    if (candidate.size() > kLongest) continue;
    std::size_t rows[3][kLongest + 1];
    for (std::size_t j = 0; j <= candidate.size(); ++j) rows[0][j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      auto* now = rows[i % 3];
      const auto* up = rows[(i - 1) % 3];
      now[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t change = word[i - 1] == candidate[j - 1] ? 0 : 1;
        now[j] = std::min({up[j] + 1, now[j - 1] + 1, up[j - 1] + change});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1]) {
          now[j] = std::min(now[j], rows[(i - 2) % 3][j - 2] + 1);
        }
      }
    }
    const std::size_t edits = rows[word.size() % 3][candidate.size()];
    if (edits < least && edits * 2 < candidate.size()) {
      least = edits;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view meant) {
  return fmt::format("; did you mean '{}'?", meant);
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view near = near_match(word, known);
  return near.empty() ? std::string() : did_you_mean(near);
}

}  // namespace covey
