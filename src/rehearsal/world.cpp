#include "rehearsal/world.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "config/units.h"
#include "rehearsal/draws.h"
#include "rehearsal/invariants.h"
#include "stats/sequential.h"

namespace covey::rehearsal {
namespace {

using plan::Measure;
using telemetry::Arm;

/// Share of log-normal latencies beyond a limit; `log_ratio` is that of the limit to the median.
double beyond(double log_ratio, double sigma) {
  return 0.5 * std::erfc(log_ratio / sigma / std::sqrt(2.0));
}

double seconds(plan::Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

/// Per-learner standard deviation over mean, of revenue, churn and completion: most buy nothing;
/// 12 % leave; 30 % complete.
constexpr double kChurn = 0.12, kCompletion = 0.3;
const std::array<double, 3> kSpread = {3.0, std::sqrt(kChurn * (1 - kChurn)),
                                       std::sqrt((1 - kCompletion) / kCompletion)};
constexpr std::array<Measure, 3> kImpacts = {Measure::kRevenue, Measure::kChurn,
                                             Measure::kEngagement};
/// Learners come by once in about this long.
constexpr plan::Duration kReturn = std::chrono::hours(10);
constexpr plan::Duration kAnalysed = std::chrono::hours(1);

}  // namespace

Result<void> MemoryJournal::append(const rollout::Entry& entry) {
  fate_.point(!entry.effects.empty());
  since_.push_back(entry.input);
  ++kinds_[entry.input.what.index()];
  if (!entry.effects.empty()) next_effect_ = entry.effects.back().id + 1;
  decisions.insert(decisions.end(), entry.decisions.begin(), entry.decisions.end());
  fate_.point(!entry.effects.empty());
  return {};
}

void MemoryJournal::offer(const rollout::State& state) {
  if (since_.size() < 512 + next_at_) return;
  if (next_at_ > 0) {
    base_ = std::move(next_base_);
    since_.erase(since_.begin(), since_.begin() + static_cast<std::ptrdiff_t>(next_at_));
  }
  next_base_ = state;
  next_at_ = since_.size();
}

Result<void> MemoryJournal::replay(const std::function<void(const rollout::Input&)>& visit) const {
  for (const auto& input : since_) visit(input);
  return {};
}

World::World(const plan::Plan& plan, Truth truth, std::vector<Fault> faults, std::uint64_t seed,
             Fate& fate, Invariants& invariants)
    : plan_(plan),
      truth_(truth),
      faults_(std::move(faults)),
      fate_(fate),
      invariants_(invariants),
      requests_(Random(seed).fork("requests")),
      learners_(Random(seed).fork("learners")),
      history_(rollout::telemetry_shape(plan), plan.slot) {
  // The first segment of the plan is the largest; what names none of them is one request in fifty.
  const std::size_t named = plan.segments.size();
  double sum = 0;
  for (std::size_t i = 0; i < named; ++i) {
    sum += parts_.emplace_back(std::pow(static_cast<double>(i + 1), -1.3));
  }
  for (double& part : parts_) part *= 0.98 / sum;
  parts_.push_back(named == 0 ? 1 : 0.02);
  // The first is at home, the last far away; what names none is as the mean.
  double mean = 0;
  for (std::size_t i = 0; i < named; ++i) {
    const double far =
        named > 1 ? 2 * static_cast<double>(i) / static_cast<double>(named - 1) - 1 : 0;
    distance_.push_back(far);
    mean += far * parts_[i] / 0.98;
  }
  for (double& far : distance_) far -= mean;
  distance_.push_back(0);
}

double World::evening(Time at) const {
  const double day = fractional_day(at);
  return std::cos(2 * M_PI * (24 * (day - std::floor(day)) - 19) / 24);
}

double World::traffic_at(Time at) const {
  // Evenings are busy, nights quiet; Sunday is the busiest day.
  const double day = fractional_day(at);
  const double daily = 1 + 0.5 * evening(at);
  const double weekday = std::fmod(std::floor(day) + 3, 7);  // 0 Monday
  return daily * (weekday >= 5 ? 1.1 : 0.96);
}

double World::fault_size(FaultKind kind, std::string_view segment) const {
  double out = 0;
  for (const Fault& fault : faults_) {
    if (fault.kind != kind || (!segment.empty() && fault.segment != segment)) continue;
    out = std::max(out, fault.strength(plan_, now_) * (fault.size > 0 ? fault.size : 1));
  }
  return out;
}

bool World::reachable() const {
  return fault_size(FaultKind::kBalancerUnreachable) == 0;
}

void World::draw_arm(Arm arm, const ArmModel& model, double requests, std::int64_t slots,
                     telemetry::Sums& out) {
  const telemetry::Shape& shape = history_.shape();
  const bool candidate = arm == Arm::kCandidate;
  const std::size_t limits = shape.slower_than.size();
  std::vector<std::uint64_t> slow(limits), bad(limits);
  double slower = 1;
  if (candidate) slower += std::max(0.0, fault_size(FaultKind::kLatencyDrift) - 1);
  const double spike = candidate ? fault_size(FaultKind::kErrorSpike) : 0;
  const double hourly = truth_.by_hour * evening(now_);
  std::vector<double> log_ratios;  // of each limit to the median, here and now
  for (const plan::Duration limit : shape.slower_than) {
    log_ratios.push_back(std::log(static_cast<double>(limit.count()) /
                                  (static_cast<double>(model.median.count()) * slower)) -
                         std::log1p(hourly / 2));
  }
  const std::size_t named = shape.segments.size() - 1;
  for (std::size_t s = 0; s < shape.segments.size(); ++s) {
    const std::string& segment = shape.segments[s];
    const std::uint64_t sent = poisson(requests_, requests * parts_[s]);
    if (sent == 0) continue;
    const bool down = s < named && fault_size(FaultKind::kRegionDown, segment) > 0;
    const std::uint64_t unanswered = binomial(requests_, sent, down ? 0.9 : model.unanswered);
    const std::uint64_t answered = sent - unanswered;
    const double away = truth_.by_segment * distance_[s];
    double wrong_rate = std::max(spike, std::max(0.0, model.wrong * (1 + hourly) * (1 + away)));
    const double log_away = std::log1p(away / 2);
    if (candidate && s < named) {
      wrong_rate = std::max(wrong_rate, fault_size(FaultKind::kBadSegment, segment));
    }
    const std::uint64_t wrong = binomial(requests_, answered, wrong_rate);
    // Slower than one limit are those slower than the next one, and some more.
    std::uint64_t among = answered;
    double above = 1;
    for (std::size_t i = 0; i < limits; ++i) {
      const double p = beyond(log_ratios[i] - log_away, model.sigma);
      among = binomial(requests_, among, above > 0 ? std::min(1.0, p / above) : 0);
      above = p;
      slow[i] = among;
      bad[i] = std::min(sent, unanswered + wrong + among);
    }
    out.add(arm, s, sent, unanswered, wrong, slow, bad);
  }
  const auto samples = static_cast<std::uint64_t>(slots);
  const auto ppm = [&](double level) {
    const double seen = level * (0.6 + 0.4 * traffic_at(now_)) + 0.01 * requests_.normal();
    return samples * static_cast<std::uint64_t>(std::clamp(seen, 0.0, 1.0) * 1e6);
  };
  double warm = truth_.cache_warm;
  if (candidate && candidate_since_) {
    const double age = seconds(now_ - *candidate_since_) / seconds(truth_.cache_warms_in);
    warm -= (truth_.cache_warm - truth_.cache_cold) * std::exp(-age);
  }
  const std::uint64_t lookups = poisson(requests_, requests);
  telemetry::Levels levels;
  levels.network_samples = levels.samples = samples;
  levels.cpu = ppm(model.cpu);
  levels.memory = ppm(model.memory);
  levels.network = ppm(model.network);
  levels.lookups = lookups;
  const double worth =
      truth_.revenue_per_request * (1 + hourly) * (candidate ? 1 + truth_.revenue_lift : 1);
  levels.revenue = static_cast<std::uint64_t>(std::max(0.0, worth * requests * 1e6));
  levels.practice = lookups / 4;
  levels.cache_hits = binomial(requests_, lookups, warm);
  // Its requests are counted by the balancer; its levels it would have to tell itself.
  if (candidate && fault_size(FaultKind::kLevelsMissing) > 0) return;
  out.add(arm, levels);
}

void World::draw_impacts(const rollout::State& state) {
  const auto index = rollout::watched_phase(state);
  if (!index || !state.phases[*index].began) return;
  const rollout::PhaseView phase = rollout::phase_view(plan_, *index);
  const bool asked = std::ranges::any_of(phase.criteria(), [](const plan::Rule& rule) {
    return plan::kind_of(rule.measure) == plan::Kind::kImpact;
  });
  if (!asked) return;
  if (sample_.began != state.phases[*index].began) {
    sample_ = {};
    sample_.began = state.phases[*index].began;
    for (double& draw : sample_.baseline) draw = learners_.normal();
  }
  const auto all = static_cast<double>(plan_.traffic.learners);
  const double share = share_ / double{plan::kEveryone};
  const double seen =
      all * share * (1 - std::exp(-seconds(now_ - *sample_.began) / seconds(kReturn)));
  // At 100 % nobody is left to compare with: the baseline is what was measured of all learners
  // before the stage.
  const double before = share < 1 ? all * (1 - share) : all;
  const double more = std::max(0.0, seen - sample_.learners);
  sample_.learners = std::max(sample_.learners, seen);
  // Whoever comes in the evening gains more than whoever comes in the morning.
  sample_.lift += more * (1 + truth_.by_hour * evening(now_));
  const double n = sample_.learners;
  if (n < 1'000) return;
  // The same noise whether or not anybody looks.
  const bool analysed = !sample_.analysed || now_ - *sample_.analysed >= kAnalysed;
  if (analysed) sample_.analysed = now_;
  double revenue = truth_.revenue_lift;
  for (const Fault& fault : faults_) {
    if (fault.kind == FaultKind::kRevenueDrop && fault.active(plan_, now_)) revenue = fault.size;
  }
  const double lift = sample_.lift / n;
  const std::array<double, 3> truth = {revenue * lift, truth_.churn_difference * lift,
                                       truth_.engagement_lift * lift};
  for (std::size_t i = 0; i < kImpacts.size(); ++i) {
    // The noise of a sum over learners, so that looks at different times go together.
    sample_.noise[i] += std::sqrt(more) * learners_.normal();
    const double spread = kSpread[i];
    const double error = spread * (sample_.noise[i] / n - sample_.baseline[i] / std::sqrt(before));
    const double se = spread * std::sqrt(1 / n + 1 / before);
    const auto sequence =
        stats::asympcs_two_sided(truth[i] + error, se, n + before, plan_.alpha, 2 * all);
    if (!sequence || !analysed) continue;
    rollout::SetImpact told;
    told.measure = kImpacts[i];
    told.estimate = truth[i] + error;
    told.interval = sequence->interval;
    told.source = "a simulated experiment";
    told.as_of = now_;
    if (!plan_.impacts.fetched()) {
      told.role = plan_.impacts.by.front();
      told.person = plan_.role(told.role)->people.front();
    }
    impacts_.push_back(std::move(told));
  }
}

std::vector<rollout::SetImpact> World::impacts() {
  return std::exchange(impacts_, {});
}

void World::advance(Time now, const rollout::State& state) {
  now_ = now;
  if (share_ == 0) {
    candidate_since_.reset();
  } else if (!candidate_since_) {
    candidate_since_ = now;
  }
  const bool was_silent = std::exchange(silent_, fault_size(FaultKind::kTelemetryGap) > 0);
  // A long step is many slots.
  const Time last = history_.last().value_or(now - plan_.slot);
  const auto slots = std::max<std::int64_t>(1, (now - last) / plan_.slot);
  const double requests =
      plan_.traffic.requests_per_second * seconds(slots * plan_.slot) * traffic_at(now);
  const double share = share_ / double{plan::kEveryone};
  telemetry::Sums slot(history_.shape());
  draw_arm(Arm::kBaseline, truth_.baseline, requests * (1 - share), slots, slot);
  draw_arm(Arm::kCandidate, truth_.candidate, requests * share, slots, slot);
  const std::int64_t covers = was_silent ? 1 : slots;
  if (!silent_) history_.add(now, slot, true, covers);
  invariants_.ticks(now, slot, history_.shape(), covers, silent_);
  draw_impacts(state);
}

std::vector<rollout::CheckResult> World::check_results() {
  return std::exchange(results_, {});
}

void World::done(const rollout::Effect& effect) {
  invariants_.performed(effect);
  fate_.point(true);
}

Result<rollout::BasisPoints> World::share() {
  if (!reachable()) return fail(Errc::kRetryLater, "the balancer does not answer");
  invariants_.read_back();
  return share_;
}

Result<void> World::set_share(BasisPoints share, const rollout::Effect& effect) {
  fate_.point(true);
  if (!reachable()) {
    done(effect);
    return fail(Errc::kRetryLater, "the balancer does not answer");
  }
  share_ = share;
  invariants_.share_set(now_, share);
  done(effect);
  return {};
}

void World::run_check(const rollout::RunCheck& check, const rollout::Effect& effect) {
  fate_.point(true);
  using plan::Check;
  bool ok = true;
  std::string detail = "as it should be";
  if (check.check == Check::kSplitReadsBack && !reachable()) {
    ok = false;
    detail = "the balancer does not answer";
  }
  if (check.check == Check::kTelemetryFlows && silent_) {
    ok = false;
    detail = "the last minute's slots are missing";
  }
  if (check.check == Check::kSameAnswers && fault_size(FaultKind::kErrorSpike) > 0) {
    ok = false;
    detail = "answers of the two services differ";
  }
  results_.push_back({check.stage, check.check, ok, detail});
  done(effect);
}

Result<void> World::notify(const rollout::Notify& notify, const rollout::Effect& effect) {
  fate_.point(true);
  ++notified_;
  if (!notify.people.empty()) called_[notify.incident] = notify.people.front();
  done(effect);
  return {};
}

Result<void> World::write_report(const rollout::WriteReport&, const rollout::Effect& effect) {
  fate_.point(true);
  ++reports_;
  done(effect);
  return {};
}

}  // namespace covey::rehearsal
