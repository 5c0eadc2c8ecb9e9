#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "telemetry/collector.h"

namespace covey::haproxy {

/// One request as the balancer tells it. Views point into the line.
struct Line {
  std::uint64_t number = 0;  ///< of the line, counted up by the balancer's process
  std::uint32_t process = 0;
  /// When it was over, not when it came in: what takes longer than a slot would else be told of one
  /// that was closed long ago.
  Time at{};
  int status = 0;                ///< -1 where nothing was answered
  std::string_view termination;  ///< HAProxy's two letters; "--" is well
  std::string_view server;       ///< that answered, or was asked last
  int retries = 0;
  telemetry::Arm arm = telemetry::Arm::kBaseline;  ///< that the split chose
  std::uint32_t threshold = 0, bucket = 0;
  std::int64_t us = -1;               ///< until the answer's head; -1: none came
  std::string_view segment, learner;  ///< URL-encoded; "-" where unknown
};

/// Reads a line of configuration()'s format. kRejected says which field is wrong. Never allocates
/// but for an error.
Result<Line> parse_line(std::string_view text);

/// What counts: a request retried on the baseline is a failure of the candidate, whatever the
/// learner saw.
telemetry::Request to_request(const Line& line, const telemetry::Shape& shape);

/// Takes bytes of a stream framed by octet counts ("123 LINE123 LINE...", RFC 6587) and calls back
/// for each line. Bytes may come in any pieces.
class Frames {
 public:
  explicit Frames(std::function<void(std::string_view)> line) : line_(std::move(line)) {}
  /// kRejected: no frame; the connection must be closed, since where the next one begins is
  /// unknown.
  Result<void> take(std::string_view bytes);

 private:
  static constexpr std::size_t kLineMax = 8'192;
  std::function<void(std::string_view)> line_;
  std::string rest_;  ///< of at most one frame
};

}  // namespace covey::haproxy
