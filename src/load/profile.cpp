#include "load/profile.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace covey::load {
namespace {

constexpr double kFactorMax = 1e6;
constexpr std::size_t kStepsMax = 10'000;

double seconds(std::chrono::nanoseconds ns) {
  return std::chrono::duration<double>(ns).count();
}

std::optional<double> number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) ||
      value < 0) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

Result<Profile> Profile::parse(std::string_view text, std::chrono::nanoseconds length) {
  const auto wrong = [&](std::string_view why) {
    return fail(Errc::kRejected,
                fmt::format("profile '{}' {}: write constant, step:0.5,1,2, ramp:0.1..2 or "
                            "daily:FILE",
                            text, why));
  };
  Profile out;
  if (text == "constant") return out;
  const bool step = text.starts_with("step:"), ramp = text.starts_with("ramp:");
  if (!step && !ramp) return wrong("is unknown");
  if (length.count() <= 0) return wrong("needs a length");
  std::vector<double> factors;
  std::string_view rest = text.substr(5);
  const std::string_view between = step ? "," : "..";
  for (bool more = true; more;) {
    const std::size_t cut = rest.find(between);
    more = cut != rest.npos;
    const auto factor = number(rest.substr(0, cut));
    if (!factor || *factor > kFactorMax) return wrong("has a factor that is no number from 0");
    factors.push_back(*factor);
    if (more) rest.remove_prefix(cut + between.size());
    if (factors.size() > kStepsMax) return wrong("has too many factors");
  }
  if (std::ranges::max(factors) == 0) return wrong("sends nothing");
  const double end = seconds(length);
  if (ramp) {
    if (factors.size() != 2) return wrong("wants two factors");
    out.pieces_.push_back({0, end, factors[0], factors[1]});
  } else {
    const auto n = static_cast<double>(factors.size());
    for (std::size_t i = 0; i < factors.size(); ++i) {
      const auto at = static_cast<double>(i);
      out.pieces_.push_back({end * at / n, end * (at + 1) / n, factors[i], factors[i]});
    }
  }
  out.name_ = text;
  return out;
}

Result<Profile> Profile::daily(std::string_view text, std::chrono::nanoseconds length) {
  const auto wrong = [](std::string why) {
    return fail(Errc::kRejected, "daily profile: " + std::move(why));
  };
  if (length.count() <= 0) return wrong("needs a length that stands for the day");
  std::vector<double> counts;
  std::size_t line_number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    const auto count = number(line.substr(line.rfind(',') + 1));
    if (!count && counts.empty() && line_number == 1) continue;  // the heading
    if (!count) return wrong(fmt::format("line {} has no count of requests", line_number));
    counts.push_back(*count);
  }
  if (counts.size() != 24) {
    return wrong(fmt::format("a day has 24 hours, there are {}", counts.size()));
  }
  double sum = 0;
  for (const double c : counts) sum += c;
  if (!(sum > 0) || !std::isfinite(sum)) return wrong("sends nothing, or too much to count");
  Profile out;
  for (std::size_t hour = 0; hour < 24; ++hour) {
    const double factor = counts[hour] * 24 / sum;
    const auto at = static_cast<double>(hour);
    out.pieces_.push_back(
        {seconds(length) * at / 24, seconds(length) * (at + 1) / 24, factor, factor});
  }
  out.name_ = fmt::format("daily, 24 h in {:g} s", seconds(length));
  return out;
}

double Profile::factor(std::chrono::nanoseconds at) const {
  if (pieces_.empty()) return 1;
  const double s = seconds(at);
  for (const Piece& p : pieces_) {
    if (s < p.end) {
      return p.first + (p.last - p.first) * std::max(0.0, (s - p.begin) / (p.end - p.begin));
    }
  }
  return 0;
}

double Profile::mean() const {
  if (pieces_.empty()) return 1;
  double area = 0;
  for (const Piece& p : pieces_) area += (p.end - p.begin) * (p.first + p.last) / 2;
  return area / pieces_.back().end;
}

double Profile::highest() const {
  double out = pieces_.empty() ? 1 : 0;
  for (const Piece& p : pieces_) out = std::max({out, p.first, p.last});
  return out;
}

std::optional<double> Profile::Walk::advance(double from, double area) {
  const auto& pieces = profile_->pieces_;
  if (pieces.empty()) return from + area;
  for (; piece_ < pieces.size(); ++piece_) {
    const Piece& p = pieces[piece_];
    const double begin = std::max(from, p.begin);
    if (begin >= p.end) continue;
    const double slope = (p.last - p.first) / (p.end - p.begin);
    const double here = p.first + slope * (begin - p.begin);
    const double left = (here + p.last) / 2 * (p.end - begin);
    if (area > left) {
      area -= left;
      continue;
    }
    // here*x + slope*x*x/2 = area; this form of the root loses no digits where slope is near 0.
    const double root = std::sqrt(std::max(0.0, here * here + 2 * slope * area));
    const double x = here + root > 0 ? 2 * area / (here + root) : p.end - begin;
    return std::min(begin + x, p.end);
  }
  return std::nullopt;
}

std::optional<std::chrono::nanoseconds> Arrivals::next() {
  if (over_) return std::nullopt;
  const auto at = walk_.advance(at_, random_.exponential() / per_second_);
  if (!at) {
    over_ = true;
    return std::nullopt;
  }
  at_ = *at;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(at_ * 1e9));
}

}  // namespace covey::load
