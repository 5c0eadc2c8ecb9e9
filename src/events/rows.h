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

/// The same for CSV, where a quoted cell may hold line ends (RFC 4180): a place where next_record()
/// would end a record, whatever follows. `text` begins at a record.
std::size_t whole_records(std::string_view text);

/// How many line ends there are in it.
std::uint64_t line_ends(std::string_view text);

/// A quoted cell that has not ended after so many bytes never was one: no field is a fourth as
/// long. So one stray quote costs its own line, not the rest of the file.
inline constexpr std::size_t kQuotedCellBytesMax = 4096;

/// What editors of a certain system put at the start of a UTF-8 file.
inline constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// At most 64 bytes of `text`, cut between characters, for a message.
std::string shown(std::string_view text);

/// The id of a row that brings none: its place, "<source>:<line>".
void place_id(const Source& source, std::uint64_t line, std::string& id);

/// Adds the event, or rejects `row` for what fault() says. True when added.
bool take(Parsed& out, const Event& event, const Source& source, std::uint64_t line,
          std::string_view row, std::string_view format);

/// Keeps a row that cannot become an event. A reason may quote the row: bytes in it that are no
/// text, or steer terminals, become '?'.
void reject(Parsed& out, const Source& source, std::uint64_t line, std::string reason,
            std::string_view row, std::string_view format);

/// Why `time` is too far ahead of the clock, or nothing.
std::string too_late(Time time, const Source& source);

/// One CSV record (RFC 4180): cells in order, quotes undone. `text` begins at a record; returns
/// the bytes it took with its line end, 0 at the end of text. False in `sound`: a quote is open or
/// stands where none may; then only the first line is taken, as one cell, so that the next line is
/// read afresh.
std::size_t next_record(std::string_view text, std::vector<std::string>& cells, bool& sound);

}  // namespace covey::events
