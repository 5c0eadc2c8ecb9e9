#include "base/time.h"

#include <date/date.h>
#include <fmt/format.h>

namespace covey {
namespace {

bool digits(std::string_view text, std::size_t at, std::size_t count, int& value) {
  if (at + count > text.size()) return false;
  value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  return true;
}

std::unexpected<Error> bad(std::string_view text, std::string_view why) {
  return fail(Errc::kRejected,
              fmt::format("'{}' is not an RFC 3339 time ({}); write 2014-02-01T12:00:00Z",
                          text.substr(0, 64), why));
}

}  // namespace

Time earliest_time() {
  return date::sys_days{date::year{1900} / 1 / 1};
}
Time latest_time() {
  return date::sys_days{date::year{2200} / 1 / 1};
}

// By hand, not date::parse: this runs once per event, and a stream parse costs a microsecond.
Result<Time> parse_time(std::string_view text) {
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  if (!digits(text, 0, 4, y) || text.size() < 10 || text[4] != '-' || !digits(text, 5, 2, mo) ||
      text[7] != '-' || !digits(text, 8, 2, d)) {
    return bad(text, "no date");
  }
  const date::year_month_day ymd{date::year{y}, date::month(static_cast<unsigned>(mo)),
                                 date::day(static_cast<unsigned>(d))};
  if (!ymd.ok()) return bad(text, "no such day");
  std::int64_t fraction = 0;
  std::chrono::seconds offset{0};
  if (text.size() > 10) {
    if ((text[10] != 'T' && text[10] != 't' && text[10] != ' ') || !digits(text, 11, 2, h) ||
        text.size() < 19 || text[13] != ':' || !digits(text, 14, 2, mi) || text[16] != ':' ||
        !digits(text, 17, 2, s)) {
      return bad(text, "no time of day");
    }
    // A leap second, :60, is legal; like POSIX we give it the second after.
    if (h > 23 || mi > 59 || s > 60) return bad(text, "no such time of day");
    std::size_t at = 19;
    if (at < text.size() && text[at] == '.') {
      std::int64_t unit = 100'000;
      const std::size_t first = ++at;
      for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) {
        fraction += (text[at] - '0') * unit;
      }
      if (at == first) return bad(text, "no digits after the point");
    }
    if (at >= text.size()) return bad(text, "no time zone; end it with Z");
    if (text[at] == 'Z' || text[at] == 'z') {
      ++at;
    } else if (text[at] == '+' || text[at] == '-') {
      int oh = 0, om = 0;
      if (!digits(text, at + 1, 2, oh) || at + 6 > text.size() || text[at + 3] != ':' ||
          !digits(text, at + 4, 2, om) || oh > 23 || om > 59) {
        return bad(text, "bad time zone offset");
      }
      offset = std::chrono::hours(oh) + std::chrono::minutes(om);
      if (text[at] == '-') offset = -offset;
      at += 6;
    } else {
      return bad(text, "bad time zone; end it with Z");
    }
    if (at != text.size()) return bad(text, "text after the time");
  }
  const Time t = date::sys_days{ymd} + std::chrono::hours(h) + std::chrono::minutes(mi) +
                 std::chrono::seconds(s) - offset + std::chrono::microseconds(fraction);
  if (t < earliest_time() || t >= latest_time()) return bad(text, "outside 1900 to 2200");
  return t;
}

std::string format_time(Time t) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(t);
  const auto days = std::chrono::floor<date::days>(seconds);
  const date::year_month_day ymd{days};
  const date::hh_mm_ss hms{seconds - days};
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", int(ymd.year()),
                                unsigned(ymd.month()), unsigned(ymd.day()), hms.hours().count(),
                                hms.minutes().count(), hms.seconds().count());
  if (const auto rest = (t - seconds).count(); rest != 0) {
    out += fmt::format(".{:06}", rest);
    while (out.back() == '0') out.pop_back();
  }
  return out + 'Z';
}

}  // namespace covey
