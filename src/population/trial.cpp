#include "population/trial.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/result.h"

namespace covey::population {
namespace {

using std::chrono::microseconds;

constexpr double kDayUs = 86'400e6;
constexpr std::array<std::string_view, 6> kTrialRegions = {"us-east", "us-west", "europe",
                                                           "asia",    "latam",   "africa"};
constexpr std::array<std::string_view, 4> kTrialAges = {"0-17", "18-34", "35-54", "55+"};
constexpr double kPurchasesADay = 0.06, kSessionsADay = 0.3;

struct TimedLine {
  Time at;
  std::string rest;
};

/// Times of a Poisson process over `days` from `from`.
template <typename See>
void arrivals(Random& random, double per_day, Time from, double days, const See& see) {
  for (double at = random.exponential() / per_day; at < days;
       at += random.exponential() / per_day) {
    see(from + microseconds(std::llround(at * kDayUs)));
  }
}

}  // namespace

std::vector<std::string> Trial::Spec::validate() const {
  std::vector<std::string> faults;
  if (learners == 0 || learners > 10'000'000) {
    faults.emplace_back("learners must be from 1 to 10 million");
  }
  if (window_days == 0 || days <= window_days || days > 3650) {
    faults.emplace_back("the experiment must run longer than its window of at least a day");
  }
  if (pre_days > 3650) faults.emplace_back("the period before must be at most ten years");
  if (start - std::chrono::days(pre_days) < earliest_time() ||
      start + std::chrono::days(days) > latest_time()) {
    faults.emplace_back("the experiment must lie between 1900 and 2200");
  }
  if (!(effect.revenue > -1 && effect.revenue < 10)) {
    faults.emplace_back("the effect on revenue must lie between -100 % and +1000 %");
  }
  if (!(kChurn + effect.churn >= 0 && kChurn + effect.churn <= 1 &&
        kCompletion + effect.completion >= 0 && kCompletion + effect.completion <= 1)) {
    faults.emplace_back("the effects on churn and completion must leave shares in 0 to 1");
  }
  if (!(activity > 0 && activity <= 1000)) {
    faults.emplace_back("events per learner must be from 3 to some thousands");
  }
  if (!treated) faults.emplace_back("who is treated must be told");
  return faults;
}

Trial::Trial(Spec spec) : spec_(std::move(spec)) {
  COVEY_CHECK(spec_.validate().empty());
}

double Trial::activity_for(double events_per_learner, const Spec& spec) {
  // Everyone has a profile, an exposure and what the life cycle brings; the rest is activity over
  // the periods before (half the intake longer for purchases) and after exposure.
  const double fixed = 2 + kChurn + kCompletion;
  const double intake = (spec.days - spec.window_days) / 2.0;
  const double active = (kSessionsADay + kPurchasesADay) * (spec.pre_days + spec.window_days) +
                        kPurchasesADay * intake;
  return (events_per_learner - fixed) / active;
}

std::string Trial::learner_name(std::uint32_t learner) const {
  return fmt::format("sim-{:07}", learner);
}

std::uint32_t Trial::append_ndjson(std::uint32_t learner, std::string& out) const {
  Random random = Random(spec_.seed).fork("trial", learner);
  const std::string name = learner_name(learner);
  const bool treated = spec_.treated(name);
  const Effect effect = treated ? spec_.effect : Effect{0, 0, 0};
  const std::size_t region = random.below(kTrialRegions.size());
  // Everyone is exposed early enough for a whole window.
  const double intake = spec_.days - spec_.window_days - 0.01;
  const Time exposed = spec_.start + microseconds(std::llround(random.uniform() * intake * kDayUs));
  const Time before = spec_.start - std::chrono::days(spec_.pre_days);
  const double days_before =
      static_cast<double>((exposed - before).count()) / kDayUs - 1e-5;  // never at the same instant
  const double window = spec_.window_days;
  const double appetite = std::exp(0.9 * random.normal() - 0.405);  // mean 1
  const double wealth = std::exp(0.5 * random.normal()) * (region < 3 ? 24 : 14);

  std::vector<TimedLine> lines;
  const auto add = [&](Time at, std::string rest) { lines.push_back({at, std::move(rest)}); };
  add(before - std::chrono::days(1) - std::chrono::seconds(random.below(86'400)),
      fmt::format(R"("type":"profile","attributes":{{"region":"{}","age_band":"{}"}})",
                  kTrialRegions[region], kTrialAges[random.below(kTrialAges.size())]));
  const auto shop = [&](Time from, double days, double factor) {
    arrivals(random, kPurchasesADay * appetite * spec_.activity, from, days, [&](Time at) {
      const double amount = std::max(0.01, wealth * std::exp(0.3 * random.normal()) * factor);
      add(at, fmt::format(R"("type":"purchase","amount":{:.2f},"currency":"{}")", amount,
                          spec_.currency));
    });
  };
  const auto visit = [&](Time from, double days) {
    arrivals(random, kSessionsADay * spec_.activity, from, days, [&](Time at) {
      // The first session after the start is the exposure, below.
      if (at < spec_.start || at > exposed) add(at, R"("type":"session")");
    });
  };
  if (spec_.pre_days > 0) {
    visit(before, days_before);
    shop(before, days_before, 1);
  }
  add(exposed, R"("type":"session")");
  const Time after = exposed + std::chrono::seconds(1);
  visit(after, window - 0.001);
  shop(after, window - 0.001, 1 + effect.revenue);
  const auto within = [&] {
    return after + microseconds(std::llround(random.uniform() * (window - 0.01) * kDayUs));
  };
  if (random.chance(kChurn + effect.churn)) add(within(), R"("type":"withdraw")");
  if (random.chance(kCompletion + effect.completion)) add(within(), R"("type":"complete")");

  std::ranges::stable_sort(lines, {}, &TimedLine::at);
  std::uint32_t number = 0;
  for (const TimedLine& line : lines) {
    fmt::format_to(std::back_inserter(out), R"({{"id":"{}-{}","learner":"{}","time":"{}",{}}})",
                   name, number++, name, format_time(line.at), line.rest);
    out += '\n';
  }
  return number;
}

}  // namespace covey::population
