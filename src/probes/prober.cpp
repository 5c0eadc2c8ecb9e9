#include "probes/prober.h"

#include <algorithm>

#include <fmt/format.h>

#include "http/target.h"
#include "stats/proportion.h"

namespace covey::probes {
namespace {

using rollout::CheckResult;
using std::chrono::nanoseconds;

constexpr std::chrono::seconds kAgainAfter{2};
constexpr std::size_t kPreflightSample = 20;
/// The longest wait for them.
constexpr nanoseconds kForLearners = std::chrono::seconds(10);
/// How long nothing is looked at where nothing is due, and where a check waits.
constexpr nanoseconds kLongest = std::chrono::seconds(1);
constexpr nanoseconds kLookAgain = std::chrono::milliseconds(50);

}  // namespace

Result<std::unique_ptr<Prober>> Prober::make(const plan::Plan& plan, Settings settings, Ports ports,
                                             const Clock& clock) {
  const auto balancer = COVEY_TRY(http::parse_host_port(plan.listen));
  const auto baseline = COVEY_TRY(http::parse_host_port(plan.baseline.address));
  const auto candidate = COVEY_TRY(http::parse_host_port(plan.candidate.address));
  if (settings.compare.find("{learner}") == std::string::npos) {
    return fail(Errc::kRejected, fmt::format("what is compared must name the learner: '{}' has no "
                                             "{{learner}}",
                                             settings.compare));
  }
  return std::unique_ptr<Prober>(new Prober(plan, std::move(settings), std::move(ports), clock,
                                            balancer, baseline, candidate));
}

Prober::Prober(const plan::Plan& plan, Settings settings, Ports ports, const Clock& clock,
               http::Url balancer, http::Url baseline, http::Url candidate)
    : plan_(plan),
      settings_(std::move(settings)),
      ports_(std::move(ports)),
      clock_(clock),
      balancer_(balancer),
      baseline_(baseline),
      candidate_(candidate) {}

void Prober::sample(std::string_view learner, std::string_view segment) {
  if (learner.empty() || learner == "-") return;
  const std::lock_guard lock(mutex_);
  // The newest stay: where nothing is compared all the time, a check may ask for them much later.
  if (samples_.size() >= settings_.samples_max) samples_.pop_front();
  samples_.push_back({std::string(learner), std::string(segment)});
}

void Prober::check(std::string stage, plan::Check check) {
  {
    const std::lock_guard lock(mutex_);
    checks_.push_back({std::move(stage), check,
                       clock_.now() + std::min(nanoseconds(plan_.window), kForLearners)});
  }
  wake_.notify_all();
}

std::optional<Prober::Asked> Prober::next_check(nanoseconds now) {
  // A check that is asked for as the traffic begins, or just after a comparison took what there
  // was, would find nobody to compare.
  const auto ready = std::ranges::find_if(checks_, [&](const Asked& asked) {
    return asked.check != plan::Check::kSameAnswers || samples_.size() >= kPreflightSample ||
           now >= asked.until;
  });
  if (ready == checks_.end()) return std::nullopt;
  Asked out = std::move(*ready);
  checks_.erase(ready);
  return out;
}

void Prober::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

Prober::Counters Prober::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

void Prober::probe() {
  // Whoever names no learner is with the baseline until everyone is on the candidate, so a probe
  // never reaches a candidate that must be quiet.
  const auto answer = balancer_.ask({.target = plan_.baseline.health}, settings_.patience);
  const std::lock_guard lock(mutex_);
  ++counters_.probes;
  counters_.probes_failed += !answer || answer->status != 200;
}

void Prober::scrape() {
  const auto split = ports_.share();
  const std::string target = split ? fmt::format("/metrics?split={}", *split) : "/metrics";
  for (const auto arm : {telemetry::Arm::kBaseline, telemetry::Arm::kCandidate}) {
    auto& client = arm == telemetry::Arm::kBaseline ? baseline_ : candidate_;
    Scraped& last = scraped_[static_cast<std::size_t>(arm)];
    const auto answer = client.ask({.target = target}, settings_.patience);
    if (!answer || answer->status != 200) {
      last.gauges.reset();
      continue;
    }
    const Gauges now = read_gauges(answer->body, arm, plan_.currency);
    const nanoseconds at = clock_.now();
    if (last.gauges) {
      // By another split these are other learners: counting begins anew.
      if (last.split != split) last.gauges->practice = last.gauges->revenue = std::nullopt;
      ports_.levels(arm, levels_between(*last.gauges, now,
                                        std::chrono::duration<double>(at - last.at).count()));
    }
    last = {now, split, at};
  }
}

Prober::Outcome Prober::compare(const Sample& sample, std::string& why) {
  std::string target = settings_.compare;
  target.replace(target.find("{learner}"), 9, sample.learner);
  // Asked as the learner asked, for a service may answer one segment otherwise than another.
  const auto segment = http::percent_decode(sample.segment);
  http::Ask ask{.target = target};
  const bool field = segment && !segment->empty() && *segment != "-" &&
                     std::ranges::none_of(*segment, [](char c) { return c >= 0 && c < ' '; });
  if (field) ask.fields = {{"X-Segment", *segment}};
  const auto baseline = baseline_.ask(ask, settings_.patience);
  const auto candidate = candidate_.ask(ask, settings_.patience);
  // What does not answer is seen by the traffic itself.
  if (!baseline || !candidate || baseline->status >= 500 || candidate->status >= 500) {
    why = "one of them did not answer";
    return Outcome::kUnknown;
  }
  if (baseline->status != candidate->status) {
    why = fmt::format("the baseline answers {}, the candidate {}", baseline->status,
                      candidate->status);
    return Outcome::kDifferent;
  }
  if (baseline->status != 200) {
    why = fmt::format("both answer {}", baseline->status);
    return Outcome::kUnknown;
  }
  const auto found = difference(baseline->body, candidate->body);
  if (!found) return Outcome::kAlike;
  why = *found;
  return Outcome::kDifferent;
}

std::string Prober::segment_of(const Sample& sample) const {
  const auto segment = http::percent_decode(sample.segment);
  return segment && std::ranges::count(plan_.segments, *segment) > 0 ? *segment : "other";
}

void Prober::note(bool different, const Sample& sample, const std::string& why) {
  const std::string segment = segment_of(sample);
  Compared seen;
  {
    const std::lock_guard lock(mutex_);
    ++counters_.compared;
    counters_.differed += different;
    Compared& of = counters_.segments[segment];
    ++of.compared;
    of.differed += different;
    seen = of;
  }
  const std::string says = fmt::format("{}: {}", sample.learner, why);
  judge(all_, different, "", says);
  // A small segment that is answered wrongly is hardly seen among all.
  if (!plan_.segments.empty()) judge(by_segment_[segment], different, segment, says);
}

void Prober::judge(Window& window, bool different, const std::string& segment,
                   const std::string& says) {
  window.differed.push_back(different);
  if (window.differed.size() > settings_.window) window.differed.pop_front();
  const auto count = static_cast<std::size_t>(std::ranges::count(window.differed, true));
  if (count < settings_.differing_max) {
    if (count == 0) window.reported = false;
    return;
  }
  if (std::exchange(window.reported, true)) return;
  const std::size_t of = window.differed.size();
  const auto rate = stats::proportion_ci(
      {.successes = static_cast<std::int64_t>(count), .trials = static_cast<std::int64_t>(of)},
      0.05);
  std::string evidence;
  if (rate && rate->clopper_pearson) {
    evidence = fmt::format(" (95 % interval {:.1f} to {:.1f} %)", 100 * rate->clopper_pearson->low,
                           100 * rate->clopper_pearson->high);
  }
  ports_.input(rollout::ReportIncident{
      plan::Severity::kCritical, segment.empty() ? "answers-differ" : "answers-differ/" + segment,
      fmt::format("{} of the last {} learners{} are answered differently{}; {}", count, of,
                  segment.empty() ? "" : " of " + segment, evidence, says),
      "shadow comparison"});
}

void Prober::compare_one() {
  std::string why;
  if (again_) {
    if (clock_.now() < again_at_) return;
    const Sample sample = *std::exchange(again_, std::nullopt);
    const Outcome outcome = compare(sample, why);
    if (outcome != Outcome::kUnknown) note(outcome == Outcome::kDifferent, sample, why);
    return;
  }
  Sample sample;
  {
    const std::lock_guard lock(mutex_);
    if (samples_.empty()) return;
    sample = std::move(samples_.front());
    // Of those who came since, one is as good as another: the oldest are stale.
    samples_.clear();
  }
  const Outcome outcome = compare(sample, why);
  if (outcome == Outcome::kAlike) note(false, sample, why);
  if (outcome == Outcome::kDifferent) {
    // An event may have reached one and not yet the other.
    again_ = std::move(sample);
    again_at_ = clock_.now() + kAgainAfter;
  }
}

CheckResult Prober::same_answers(CheckResult result) {
  std::deque<Sample> learners;
  {
    const std::lock_guard lock(mutex_);
    learners = samples_;
  }
  std::size_t alike = 0;
  std::string why = "nobody was served meanwhile";
  for (const Sample& sample : learners) {
    if (alike == kPreflightSample) break;
    const Outcome outcome = compare(sample, why);
    if (outcome == Outcome::kDifferent) {
      result.detail = fmt::format("{}: {}", sample.learner, why);
      return result;
    }
    alike += outcome == Outcome::kAlike;
  }
  result.ok = alike > 0;
  result.detail = result.ok ? fmt::format("{} learners are answered alike", alike)
                            : fmt::format("no learner could be compared: {}", why);
  return result;
}

CheckResult Prober::answer(const Asked& asked) {
  CheckResult out{asked.stage, asked.check, false, {}};
  const auto healthy = [&](http::Client& client, const plan::Service& service) {
    const auto answer = client.ask({.target = service.health}, settings_.patience);
    out.ok = answer && answer->status == 200;
    out.detail =
        answer ? fmt::format("{} answers {} to {}", service.title, answer->status, service.health)
               : fmt::format("{}: {}", service.title, answer.error().message);
  };
  switch (asked.check) {
    case plan::Check::kBaselineHealthy:
      healthy(baseline_, plan_.baseline);
      return out;
    case plan::Check::kCandidateHealthy:
      healthy(candidate_, plan_.candidate);
      return out;
    case plan::Check::kSplitReadsBack: {
      const auto shares = ports_.shares();
      if (!shares) {
        out.detail = shares.error().message;
        return out;
      }
      out.ok = shares->first == shares->second;
      out.detail = fmt::format("the balancer holds {}, wanted is {}",
                               plan::share_text(shares->first), plan::share_text(shares->second));
      return out;
    }
    case plan::Check::kTelemetryFlows: {
      const auto gap = ports_.telemetry_gap();
      out.ok = !gap;
      out.detail = gap.value_or("every slot of the window has come");
      return out;
    }
    case plan::Check::kChannelsAnswer: {
      const auto dead = ports_.dead_channels();
      out.ok = dead.empty();
      out.detail =
          dead.empty() ? "no channel is dead" : fmt::format("dead: {}", fmt::join(dead, ", "));
      return out;
    }
    case plan::Check::kSameAnswers:
      return same_answers(std::move(out));
  }
  return out;
}

void Prober::run_probe() {
  // Twice a slot: one probe that is slow must not leave a slot without a line.
  const nanoseconds every = nanoseconds(plan_.slot) / 2;
  for (;;) {
    const nanoseconds begun = clock_.now();
    probe();
    std::unique_lock lock(mutex_);
    const nanoseconds rest = std::max(nanoseconds(0), every - (clock_.now() - begun));
    if (wake_.wait_for(lock, rest, [this] { return stopping_; })) return;
  }
}

void Prober::run() {
  const nanoseconds each =
      settings_.compares_per_second > 0
          ? nanoseconds(static_cast<std::int64_t>(1e9 / settings_.compares_per_second))
          : nanoseconds::max();
  nanoseconds scrape_at = clock_.now(), compare_at = scrape_at;
  for (;;) {
    std::optional<Asked> asked;
    bool waits = false;
    {
      std::unique_lock lock(mutex_);
      const nanoseconds now = clock_.now();
      const nanoseconds next = std::min(scrape_at, compare_at);
      if (next > now) {
        // Learners who come wake nobody, so a check that waits for them looks again by itself.
        const nanoseconds longest = checks_.empty() ? kLongest : kLookAgain;
        wake_.wait_for(lock, std::min(next - now, longest),
                       [&] { return stopping_ || (asked = next_check(clock_.now())).has_value(); });
      }
      if (stopping_) return;
      if (!asked) asked = next_check(clock_.now());
      waits = !checks_.empty();
    }
    if (asked) ports_.input(answer(*asked));
    const nanoseconds now = clock_.now();
    if (now >= scrape_at) {
      scrape();
      scrape_at = std::max<nanoseconds>(scrape_at + plan_.slot, clock_.now());
    }
    if (each != nanoseconds::max() && now >= compare_at) {
      // Who was served is left for the check that waits for them.
      if (!waits) compare_one();
      compare_at = std::max(compare_at + each, clock_.now());
    }
    if (each == nanoseconds::max()) compare_at = nanoseconds::max();
  }
}

}  // namespace covey::probes
