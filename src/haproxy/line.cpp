#include "haproxy/line.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "haproxy/configuration.h"

namespace covey::haproxy {
namespace {

constexpr std::size_t kFields = 15;
constexpr std::int64_t kDay = 86'400'000;  // ms

template <typename Number>
bool read(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

/// HAProxy says with a first letter who ended it and why: s, the server took too long; S, it
/// refused, or cut the connection. Its own 502, 503 and 504 then stand for that, not for the
/// server's.
telemetry::Fault fault_of(const Line& line, bool by_its_own) {
  using enum telemetry::Fault;
  if (!by_its_own || line.retries > 0) return kRetried;
  if (line.termination[0] == 's') return kTimeOut;
  if (line.termination[0] == 'S' || line.status <= 0) return kConnection;
  switch (line.status) {
    case 500:
      return kError500;
    case 502:
      return kError502;
    case 503:
      return kError503;
    case 504:
      return kError504;
    default:
      return line.status >= 500 ? kErrorOther : line.status >= 400 ? kClientError : kNone;
  }
}

}  // namespace

Result<Line> parse_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  std::array<std::string_view, kFields> field;
  std::size_t count = 0;
  while (count < kFields) {
    const std::size_t space = std::min(text.find(' '), text.size());
    field[count++] = text.substr(0, space);
    if (space == text.size()) {
      text = {};
      break;
    }
    text.remove_prefix(space + 1);
  }
  if (field[0] != kLineVersion) return fail(Errc::kRejected, "not a line of ours");
  if (count != kFields || !text.empty()) {
    return fail(Errc::kRejected, fmt::format("{} fields are wanted", kFields));
  }
  Line out;
  std::int64_t ms = 0;
  const auto wrong = [](std::string_view what) {
    return fail(Errc::kRejected, fmt::format("{} is wrong", what));
  };
  if (!read(field[1], out.number)) return wrong("the number");
  if (!read(field[2], out.process)) return wrong("the process");
  if (!read(field[3], ms) || ms < 0 || ms > 7'258'118'400'000) return wrong("the time");
  // From then to the last byte; -1 where it was given up before it was begun with.
  std::int64_t took = 0;
  if (!read(field[4], took) || took < -1 || took > kDay) return wrong("the duration");
  out.at = Time(std::chrono::milliseconds(ms + std::max<std::int64_t>(0, took)));
  if (!read(field[5], out.status) || out.status < -1 || out.status > 999)
    return wrong("the status");
  out.termination = field[6];
  if (out.termination.size() != 2) return wrong("the termination");
  out.server = field[7];
  if (out.server.empty() || out.server.size() > 64) return wrong("the server");
  // "+1" says that the last retry went to another server.
  const std::string_view retries = field[8].starts_with('+') ? field[8].substr(1) : field[8];
  if (!read(retries, out.retries) || out.retries < 0) return wrong("the number of retries");
  if (field[9] != "b" && field[9] != "c") return wrong("the arm");
  out.arm = field[9] == "c" ? telemetry::Arm::kCandidate : telemetry::Arm::kBaseline;
  if (!read(field[10], out.threshold) || out.threshold > 10'000) return wrong("the threshold");
  if (!read(field[11], out.bucket) || out.bucket > 9'999) return wrong("the bucket");
  if (!read(field[12], out.us) || out.us < -1) return wrong("the latency");
  out.segment = field[13];
  out.learner = field[14];
  if (out.segment.empty() || out.learner.empty()) return wrong("the segment or the learner");
  return out;
}

telemetry::Request to_request(const Line& line, const telemetry::Shape& shape) {
  telemetry::Request out;
  out.number = line.number;
  out.process = line.process;
  out.at = line.at;
  out.arm = line.arm;
  const auto segment = std::ranges::find(shape.segments, line.segment);
  out.segment = segment == shape.segments.end()
                    ? shape.segments.size() - 1
                    : static_cast<std::size_t>(segment - shape.segments.begin());
  // Answered by whom it was meant for, at the first try: anything else was a failure of that arm,
  // though the learner may have been answered by the other.
  const bool by_its_own = line.arm == telemetry::Arm::kBaseline || line.server == "candidate";
  const bool client_left = line.termination[0] == 'C';  // nobody's failure
  out.counts = !client_left;
  out.answered = by_its_own && line.retries == 0 && line.status > 0 && line.us >= 0 &&
                 line.status != 503 && line.status != 504;
  out.right = line.status < 500;
  out.fault = fault_of(line, by_its_own);
  out.latency = telemetry::Duration(std::max<std::int64_t>(0, line.us));
  return out;
}

Result<void> Frames::take(std::string_view bytes) {
  while (!bytes.empty()) {
    // A whole frame in the bytes at hand is passed on without a copy.
    std::string_view view = bytes;
    if (!rest_.empty()) {
      const std::size_t room = kLineMax + 8 - std::min(rest_.size(), kLineMax + 8);
      const std::size_t take = std::min(room, bytes.size());
      rest_.append(bytes.substr(0, take));
      bytes.remove_prefix(take);
      view = rest_;
    }
    std::size_t used = 0;
    for (;;) {
      const std::string_view frame = view.substr(used);
      const std::size_t space = std::min(frame.substr(0, 6).find(' '), frame.size());
      std::size_t length = 0;
      if (space == frame.size()) {
        const bool digits = std::ranges::all_of(frame, [](char c) { return c >= '0' && c <= '9'; });
        if (frame.size() >= 6 || !digits) return fail(Errc::kRejected, "no frame length");
        break;
      }
      if (!read(frame.substr(0, space), length) || length == 0 || length > kLineMax) {
        return fail(Errc::kRejected, "no frame length");
      }
      if (frame.size() < space + 1 + length) break;
      line_(frame.substr(space + 1, length));
      used += space + 1 + length;
    }
    if (rest_.empty()) {
      rest_.assign(view.substr(used));
      bytes = {};
    } else {
      rest_.erase(0, used);
    }
  }
  return {};
}

}  // namespace covey::haproxy
