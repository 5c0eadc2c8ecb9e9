#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "events/batch.h"

namespace covey::events {

/// A row that could not become an event: answered by line and reason, kept in the quarantine.
struct Rejection {
  std::string source;   ///< file name or request name
  std::uint64_t line;   ///< 1-based; xAPI: the statement's place in the array
  std::string reason;   ///< one sentence that says what to mend
  std::string row;      ///< the row itself, cut at kRejectedRowBytesMax
  std::string format;   ///< "ndjson", "csv", "xapi" or "oulad": how to read `row` on replay
  std::string context;  ///< what else the codec needs for that (a CSV header); may be empty
};
inline constexpr std::size_t kRejectedRowBytesMax = 64 * 1024;

/// What every codec needs to know about where its bytes come from.
struct Source {
  std::string name;              ///< ids of rows without one are "<name>:<line>"
  std::uint64_t first_line = 1;  ///< line number of the first byte given
  Time latest{};                 ///< clock + 5 min: a later event is rejected; set by the caller
};

/// Where a codec's output goes: rows that are events into `batch`, the others into `rejected`.
/// rows = batch.rows() + rejected.size(), always, so that nothing is lost silently.
struct Parsed {
  Batch batch;
  std::vector<Rejection> rejected;
};

}  // namespace covey::events
