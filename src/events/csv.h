#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "events/codec.h"

namespace covey::events {

/// Comma-separated values with a header (RFC 4180): columns are the fields of docs/events.md by
/// name, `attributes.<key>` for attributes. An empty cell is an absent field.
class Csv {
 public:
  /// kRejected: an unknown column (with a near match), one twice, or learner, time or type
  /// missing.
  static Result<Csv> from_header(std::string_view header_line);
  /// Whole records, as whole_records() cuts them. Lines are counted as they stand in the file.
  void parse(std::string_view text, const Source& source, Parsed& out);
  const std::string& header() const { return header_; }

 private:
  std::string header_;
  std::vector<unsigned> column_;        // field of each column; kAttribute for attributes.*
  std::vector<std::string> attribute_;  // its key, by column
  std::vector<std::string> cells_;
  std::vector<Attribute> attributes_;
  std::string id_;
};

}  // namespace covey::events
