#pragma once

#include <span>
#include <string>
#include <string_view>

namespace covey {

/// The entry of `known` that `word` was probably meant to be: at most two edits away and less than
/// half its length (Damerau-Levenshtein, adjacent swaps count one). Empty when none is near.
std::string_view near_match(std::string_view word, std::span<const std::string_view> known);

/// "; did you mean 'learner'?"
std::string did_you_mean(std::string_view meant);
/// The same of near_match(word, known), or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace covey
