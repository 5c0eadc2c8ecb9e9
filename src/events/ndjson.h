#pragma once

#include <memory>
#include <string_view>

#include "events/codec.h"

namespace covey::events {

/// Newline-delimited JSON: one event of docs/events.md a line. Strict: an unknown field, a field
/// twice or a wrong type rejects the line, and that line only.
///
/// Holds buffers between calls; not for threads.
class Ndjson {
 public:
  Ndjson();
  Ndjson(Ndjson&&) noexcept;
  Ndjson& operator=(Ndjson&&) noexcept;
  ~Ndjson();

  /// `text` is whole lines; the last may lack its line end. Blank lines are skipped but counted.
  void parse(std::string_view text, const Source& source, Parsed& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace covey::events
