#include "load/limits.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "config/units.h"

namespace covey::load {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 6> kQuantiles = {
    {{"p50", .5}, {"p90", .9}, {"p95", .95}, {"p99", .99}, {"p999", .999}, {"max", 1}}};

/// So few requests leave less than one beyond the quantile.
constexpr double kBeyondMin = 1;

Result<Limit> parse_limit(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return fail(Errc::kRejected,
                fmt::format("limit '{}' {}: write p99=50ms or errors=0.1%, a kind before it where "
                            "it is not the first: ingest.p99=2s",
                            text, why));
  };
  Limit out;
  out.text = text;
  const std::size_t equals = text.find('=');
  if (equals == text.npos) return wrong("has no '='");
  std::string_view what = text.substr(0, equals);
  const std::string_view most = text.substr(equals + 1);
  if (const std::size_t dot = what.find('.'); dot != what.npos) {
    for (std::size_t k = 0; k < kKinds; ++k) {
      if (name(static_cast<Kind>(k)) == what.substr(0, dot)) out.kind = static_cast<Kind>(k);
    }
    if (!out.kind) return wrong("names no kind of request");
    what.remove_prefix(dot + 1);
  }
  if (what == "errors") {
    const auto share = config::parse_percent(most);
    if (!share) return wrong("has no percentage");
    if (!(*share >= 0 && *share <= 1)) return wrong("is not from 0 % to 100 %");
    out.share = *share;
    return out;
  }
  for (const auto& [known, q] : kQuantiles) {
    if (what == known) out.quantile = q;
  }
  if (out.quantile == 0) return wrong("measures nothing known");
  const auto longest = config::parse_duration(most);
  if (!longest) return wrong("has no duration");
  out.longest = *longest;
  return out;
}

}  // namespace

Result<std::vector<Limit>> parse_limits(std::string_view text) {
  std::vector<Limit> out;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    more = comma != text.npos;
    out.push_back(COVEY_TRY(parse_limit(text.substr(0, comma))));
    if (more) text.remove_prefix(comma + 1);
  }
  return out;
}

std::vector<Verdict> judge(const std::vector<Limit>& limits, const Settings& settings,
                           const Totals& totals) {
  const auto own = own_limits(settings, totals);
  std::vector<Verdict> out;
  for (const Limit& limit : limits) {
    Verdict v;
    v.limit = limit.text;
    const auto first = std::ranges::find_if(settings.lanes, &Lane::used);
    const auto kind = limit.kind.value_or(static_cast<Kind>(first - settings.lanes.begin()));
    const Tally& tally = totals.of(kind);
    const auto n = static_cast<double>(tally.finished());
    if (tally.finished() == 0) {
      v.measured = fmt::format("no {} were answered", title(kind));
    } else if (limit.quantile == 0) {
      v.measured = fmt::format("{:.3g} % of {}", 100 * tally.error_rate(), tally.finished());
      if (tally.failed() == 0 && limit.share > 0 && n * limit.share < kBeyondMin) {
        v.measured += ": too few to see so small a share";
      } else {
        v.held = tally.error_rate() <= limit.share;
      }
    } else if (const auto at = tally.latency.quantile(limit.quantile); !at) {
      v.measured = fmt::format("no {} were answered well", title(kind));
    } else {
      const double ms = static_cast<double>(at->count()) / 1e3;
      v.measured = ms >= 1'000 ? fmt::format("{:.3g} s", ms / 1e3) : fmt::format("{:.3g} ms", ms);
      if (limit.quantile < 1 && n * (1 - limit.quantile) < kBeyondMin) {
        v.measured += fmt::format(", of {} only: too few", tally.finished());
      } else if (*at <= limit.longest) {
        v.held = true;
      } else if (const auto sent = tally.service.quantile(limit.quantile);
                 sent > limit.longest && std::ranges::all_of(own, [](const OwnLimit& o) {
                   return o.cause == "connections";
                 })) {
        // Too slow from the sending already: more connections would not have helped.
        v.held = false;
      } else if (!own.empty()) {
        v.measured += "; the generator was the limit (" + own.front().cause + ")";
      } else {
        v.held = false;
      }
    }
    out.push_back(std::move(v));
  }
  return out;
}

}  // namespace covey::load
