#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "plan/rule.h"

namespace covey::plan {

using Duration = std::chrono::microseconds;

/// Shares of traffic in steps of the balancer's buckets: 10,000 is everyone.
using BasisPoints = std::uint32_t;
inline constexpr BasisPoints kEveryone = 10'000;
std::string share_text(BasisPoints share);  ///< "1 %", "0.05 %"

enum class Severity : std::uint8_t { kCritical, kHigh, kMedium, kLow };
std::string_view name(Severity severity);

struct Service {
  std::string title, address, health = "/healthz";
};

struct Traffic {
  double requests_per_second = 0;  ///< expected, all services together
  std::uint64_t learners = 0;
};

struct Role {
  std::string name, title;
  std::vector<std::string> people;
  bool decides = false;  ///< has decision authority: starts again, may stand in for an approval
};

/// Who is called, in order; the next one after Roster::acknowledge_within.
struct Shift {
  std::string name;
  Duration from{}, to{};  ///< of the day, UTC; `to` at or before `from`: over midnight
  std::vector<std::string> people;
};
struct Roster {
  Duration acknowledge_within{};
  std::vector<Shift> shifts;
  /// The shift on duty; nothing in a gap of the roster.
  const Shift* on_duty(Time at) const;
};

struct Channel {
  enum class Kind : std::uint8_t { kAlertmanager, kWebhook, kSlack, kCloudEvents };
  std::string name, url;
  Kind kind = Kind::kWebhook;
};

/// Counters of requests in Prometheus, where the balancer's own lines are not had: PromQL queries
/// whose series have the labels `arm` (baseline, candidate) and, if there are segments, `segment`.
struct PrometheusSource {
  std::string url;
  std::string sent, unanswered, wrong;
  std::string slower;  ///< requests slower than `$limit` seconds, which must be an edge
};

/// What experiments say of revenue, churn and engagement: who may tell it, how long it counts, and
/// where the controller reads it by itself.
struct ImpactSource {
  std::vector<std::string> by;                  ///< roles that may tell one
  Duration valid_for = std::chrono::hours(24);  ///< after the time up to which its events count
  std::string address, experiment;              ///< an analyzer's, HOST:PORT; empty: people tell
  Duration every = std::chrono::minutes(1);     ///< it is asked
  /// Names of the experiment's metrics; empty: not read. Revenue and engagement are taken as
  /// lifts, churn as a difference of shares.
  std::string revenue, churn, engagement;
  bool fetched() const { return !experiment.empty(); }
};

/// A rule whose coming true lowers the share at once.
struct Reaction {
  Rule when;
  BasisPoints share = 0;
  Severity severity = Severity::kCritical;
};

/// A check before a stage begins, made by machine.
enum class Check : std::uint8_t {
  kBaselineHealthy,
  kCandidateHealthy,
  kSplitReadsBack,  ///< the balancer answers and holds the share we believe in
  kTelemetryFlows,  ///< every slot of the last minute has arrived
  kChannelsAnswer,
  kSameAnswers,  ///< a sample of requests is answered alike by both services
};
inline constexpr std::size_t kChecks = 6;
std::string_view name(Check check);

struct Stage {
  std::string name;
  Time start{};
  BasisPoints share = 0;
  Duration length{};
  Duration max_extend{};  ///< while a gate is undecided
  std::optional<Time> preflight;
  std::vector<Check> checks;
  std::vector<Duration> checkpoints;  ///< after the start; the last is the gate
  std::vector<Rule> criteria;         ///< must hold for the whole window
  std::vector<Rule> warnings;
  std::vector<Reaction> reactions;
  Duration breached_for{};  ///< of a criterion that names no `watch` of its own: rolled back
  std::vector<std::string> approvals;
  BasisPoints fail_share = 0;  ///< what the candidate keeps after a NO-GO, for investigation
  Severity fail_severity = Severity::kHigh;
  std::string on_pass;  ///< the next stage or monitoring phase; empty: none

  Duration patience(const Rule& criterion) const {
    return criterion.watch.count() > 0 ? criterion.watch : breached_for;
  }
};

/// A dated GO or NO-GO on what nothing here measures: those named decide, each on a report.
struct Gate {
  std::string name;
  Time at{};                           ///< not before
  std::vector<std::string> approvals;  ///< roles, all of them
  std::vector<std::string> criteria;   ///< what the report must show, in people's words
};

/// After the last stage: its share stays, and the criteria are looked at on a cadence.
struct Monitoring {
  std::string name;
  Time start{};
  Duration length{};
  std::vector<Duration> daily;        ///< times of day
  std::optional<int> review_weekday;  ///< 0 Monday .. 6 Sunday
  Duration review_at{};
  std::vector<Rule> criteria;
  std::vector<Gate> gates;
  Duration breached_for{};
  std::string on_pass;

  /// All looks, ascending; the last is the phase's end.
  std::vector<Time> looks() const;
};

struct Task {
  std::string name;
  Time start{};
  Duration length{};
  std::vector<std::string> needs;  ///< tasks or phases that come before
};
/// Work with dated reports: the streams, and what scales. People say when it is done.
struct Work {
  std::string name, title;
  Time start{};
  Duration length{};
  std::vector<Time> reports;
  std::vector<std::string> needs;
  std::vector<Task> tasks;
  std::vector<std::uint64_t> learners;  ///< sizes it goes to, of scale phases
  std::uint32_t regions = 0;            ///< that serve at its end; 0: not said
  std::vector<Gate> gates;
};

/// The calendar: what goes when, how far, judged by what, decided by whom.
struct Plan {
  std::string name, title;
  Service baseline, candidate;
  std::string listen;  ///< the balancer's address
  Traffic traffic;
  double alpha = 0.01;           ///< chance to pass, and chance to fail, a stage wrongly
  std::string currency = "USD";  ///< of revenue, ISO 4217
  double margin = 0.2;           ///< how much worse than the baseline, relatively, is still as good
  Duration slot = std::chrono::seconds(5);     ///< of telemetry
  Duration window = std::chrono::seconds(60);  ///< that slides: what a breach is seen in
  std::vector<std::string> segments;
  std::vector<Role> roles;
  Roster roster;
  std::vector<Channel> channels;
  std::optional<PrometheusSource> prometheus;
  ImpactSource impacts;
  Duration snapshot_every{}, briefing_every{};  ///< 0: none
  std::vector<Stage> stages;                    ///< in order, each after the one before
  std::vector<Monitoring> monitoring;           ///< likewise
  std::vector<Work> work;                       ///< streams and scale phases

  const Role* role(std::string_view wanted) const;
  Time begin() const;  ///< of the first pre-flight, stage or work
  Time end() const;
};

/// The same calendar, all of it `later`: for a rollout that begins when somebody says so.
Plan shifted(Plan plan, Duration later);

/// Reads a plan. kRejected: every fault with line and column, a line each, in order of place.
/// Beyond its form a plan must hold together: names exist, stages follow one another and can be
/// reached, nothing waits for itself, somebody is on call at any hour and holds every role.
/// @param file  its name, for messages.
Result<Plan> parse_plan(std::string file, std::string_view yaml);

}  // namespace covey::plan
