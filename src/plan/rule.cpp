#include "plan/rule.h"

#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "base/near.h"
#include "config/units.h"

namespace covey::plan {
namespace {

struct Known {
  std::string_view name;
  Unit unit;
  Kind kind;
  bool good_below;  ///< a criterion reads `measure < limit`
};
constexpr std::array<Known, 13> kKnown = {
    {{"error_rate", Unit::kPercent, Kind::kEvidence, true},
     {"p99", Unit::kDuration, Kind::kEvidence, true},
     {"p95", Unit::kDuration, Kind::kEvidence, true},
     {"availability", Unit::kPercent, Kind::kEvidence, false},
     {"segment_spread", Unit::kPercent, Kind::kEvidence, true},
     {"critical_incidents", Unit::kCount, Kind::kCount, true},
     {"cpu", Unit::kPercent, Kind::kGauge, true},
     {"memory", Unit::kPercent, Kind::kGauge, true},
     {"network", Unit::kPercent, Kind::kGauge, true},
     {"cache_hits", Unit::kPercent, Kind::kGauge, false},
     {"revenue", Unit::kPercent, Kind::kImpact, false},
     {"churn", Unit::kPoints, Kind::kImpact, true},
     {"engagement", Unit::kPercent, Kind::kImpact, false}}};

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t from = text.find_first_not_of(' ');
    if (from == std::string_view::npos) break;
    const std::size_t to = std::min(text.find(' ', from), text.size());
    words.push_back(text.substr(from, to - from));
    text.remove_prefix(to);
  }
  return words;
}

Result<double> parse_limit(Unit unit, std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  switch (unit) {
    case Unit::kPercent:
      return config::parse_percent(text);
    case Unit::kDuration: {
      const auto parsed = COVEY_TRY(config::parse_duration(text));
      return static_cast<double>(parsed.count()) / 1e6;
    }
    case Unit::kPoints: {
      double points = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), points);
      if (error == std::errc() && std::string_view(end, text.data() + text.size()) == "pp") {
        return points / 100;
      }
      return fail(Errc::kRejected,
                  fmt::format("'{}' is no difference of shares: write percentage points, such as "
                              "-3pp",
                              text));
    }
    case Unit::kCount: {
      double number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size() && number >= 0) return number;
      return fail(Errc::kRejected, fmt::format("'{}' is no number", text));
    }
  }
  return fail(Errc::kRejected, "no limit");
}

}  // namespace

std::string_view name(Measure measure) {
  return kKnown[static_cast<std::size_t>(measure)].name;
}
Unit unit_of(Measure measure) {
  return kKnown[static_cast<std::size_t>(measure)].unit;
}
Kind kind_of(Measure measure) {
  return kKnown[static_cast<std::size_t>(measure)].kind;
}

Result<Rule> parse_rule(std::string_view text, RuleList list) {
  const bool criterion = list == RuleList::kCriteria;
  const auto words = words_of(text);
  const auto wrong = [&](std::string why) {
    return fail(Errc::kRejected, fmt::format("'{}': {}", text, why));
  };
  if (words.size() < 3 || words.size() % 2 == 0) {
    return wrong(criterion
                     ? "a criterion reads `error_rate < 0.5%`, with `after 2h` or `watch 2h` behind"
                     : "a rule reads `error_rate > 0.5%`, with `for 2m` or `after 2h` behind");
  }
  Rule rule;
  rule.text = text;
  std::vector<std::string_view> known;
  std::size_t found = kKnown.size();
  for (std::size_t i = 0; i < kKnown.size(); ++i) {
    known.push_back(kKnown[i].name);
    if (kKnown[i].name == words[0]) found = i;
  }
  if (found == kKnown.size()) {
    const std::string near = did_you_mean(words[0], known);
    return wrong(
        fmt::format("nothing is called '{}'{}", words[0],
                    near.empty() ? fmt::format("; there are {}", fmt::join(known, ", ")) : near));
  }
  rule.measure = static_cast<Measure>(found);
  if (words[1] != "<" && words[1] != ">") return wrong("compare by < or >");
  rule.below = words[1] == "<";
  if (rule.below != (kKnown[found].good_below == criterion)) {
    return wrong(fmt::format("{} with '{}': {} is good {}, so write {}",
                             criterion ? "a criterion says what must hold"
                                       : "a warning or reaction says what must not be",
                             words[1], words[0], kKnown[found].good_below ? "low" : "high",
                             rule.below ? '>' : '<'));
  }
  auto limit = parse_limit(kKnown[found].unit, words[2]);
  if (!limit) return wrong(limit.error().message);
  rule.limit = *limit;
  const bool is_share = kKnown[found].unit == Unit::kPercent && rule.measure != Measure::kRevenue &&
                        rule.measure != Measure::kEngagement;
  if (is_share && !(rule.limit > 0 && rule.limit < 1)) {
    return wrong("the limit must lie between 0% and 100%, both excluded");
  }
  if (kKnown[found].unit == Unit::kDuration && rule.limit <= 0) {
    return wrong("the limit must be longer than nothing");
  }
  const std::string_view patience = criterion ? "watch" : "for";
  for (std::size_t i = 3; i < words.size(); i += 2) {
    if (words[i] != patience && words[i] != "after") {
      return wrong(fmt::format("behind the limit: `{}` or `after`", patience));
    }
    const auto duration = config::parse_duration(words[i + 1]);
    if (!duration) return wrong(duration.error().message);
    (words[i] == "after" ? rule.from : criterion ? rule.watch : rule.lasting) = *duration;
  }
  return rule;
}

double limit_rate(const Rule& rule) {
  switch (rule.measure) {
    case Measure::kP99:
      return 0.01;
    case Measure::kP95:
      return 0.05;
    case Measure::kAvailability:
      return 1 - rule.limit;
    default:
      return rule.limit;
  }
}

std::string value_text(Measure measure, double value) {
  const auto percent = [](double v) {
    // Four digits tell 99.99 % from 99.995 %; a rate shows its first two.
    const double shown = 100 * v;
    if (std::abs(shown) >= 99 && std::abs(shown) < 100) return fmt::format("{:.4g}%", shown);
    return fmt::format("{:.2g}%", shown);
  };
  switch (unit_of(measure)) {
    case Unit::kPercent:
      if (measure == Measure::kAvailability) return fmt::format("{:.6g}%", 100 * value);
      if (kind_of(measure) == Kind::kImpact) return fmt::format("{:+.1f}%", 100 * value);
      return kind_of(measure) == Kind::kGauge ? fmt::format("{:.0f}%", 100 * value)
                                              : percent(value);
    case Unit::kDuration:
      return fmt::format("{:.3g}ms", 1e3 * value);
    case Unit::kPoints:
      return fmt::format("{:+.1f}pp", 100 * value);
    case Unit::kCount:
      return fmt::format("{:g}", value);
  }
  return "";
}

std::string limit_text(const Rule& rule) {
  switch (unit_of(rule.measure)) {
    case Unit::kPercent:
      return kind_of(rule.measure) == Kind::kImpact ? fmt::format("{:+g}%", rule.limit * 100)
                                                    : fmt::format("{:g}%", rule.limit * 100);
    case Unit::kDuration:
      return config::format_duration(std::chrono::microseconds(std::llround(rule.limit * 1e6)));
    case Unit::kPoints:
      return fmt::format("{:+g}pp", rule.limit * 100);
    case Unit::kCount:
      return fmt::format("{:g}", rule.limit);
  }
  return "";
}

}  // namespace covey::plan
