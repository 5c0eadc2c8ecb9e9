#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "events/codec.h"

namespace covey::events {

/// Bytes up to and with the last line end: what may be parsed while more is to come.
std::size_t whole_lines(std::string_view text);

/// The same for CSV, where a quoted cell may hold line ends (RFC 4180).
std::size_t whole_records(std::string_view text);

/// The entry of `known` that `word` was probably meant to be: at most two edits away and less than
/// half its length (Damerau-Levenshtein, adjacent swaps count one). Empty when none is near.
std::string_view near_match(std::string_view word, std::span<const std::string_view> known);

/// "; did you mean 'learner'?" or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

/// Adds the event, or rejects `row` for what fault() says. True when added.
bool take(Parsed& out, const Event& event, const Source& source, std::uint64_t line,
          std::string_view row, std::string_view format);

/// Keeps a row that cannot become an event.
void reject(Parsed& out, const Source& source, std::uint64_t line, std::string reason,
            std::string_view row, std::string_view format);

/// Why `time` is too far ahead of the clock, or nothing.
std::string too_late(Time time, const Source& source);

/// One CSV record (RFC 4180): cells in order, quotes undone. `text` begins at a record; returns
/// the bytes it took with its line end, 0 at the end of text. False in `sound`: a quote is open or
/// stands where none may.
std::size_t next_record(std::string_view text, std::vector<std::string>& cells, bool& sound);

}  // namespace covey::events
