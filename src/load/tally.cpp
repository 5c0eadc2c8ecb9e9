#include "load/tally.h"

#include <algorithm>
#include <numeric>

namespace covey::load {

std::string_view name(Kind kind) {
  constexpr std::array<std::string_view, kKinds> kNames = {"lookups", "ingest", "cohorts",
                                                           "discover"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view title(Kind kind) {
  constexpr std::array<std::string_view, kKinds> kTitles = {"look-ups", "batches of events",
                                                            "cohorts", "discoveries"};
  return kTitles[static_cast<std::size_t>(kind)];
}

std::string_view name(Outcome outcome) {
  constexpr std::array<std::string_view, kOutcomes> kNames = {
      "ok",          "wrong",   "client_errors", "too_many", "server_errors",
      "unavailable", "refused", "cut",           "busy",     "timed_out"};
  return kNames[static_cast<std::size_t>(outcome)];
}

void Series::answered(std::chrono::nanoseconds at, Outcome outcome, telemetry::Duration latency) {
  Step& step = step_at(at);
  if (outcome == Outcome::kBusy) return;
  if (outcome != Outcome::kOk) {
    ++step.failed;
    return;
  }
  ++step.ok;
  step.latency.add(latency);
}

Series::Step& Series::step_at(std::chrono::nanoseconds at) {
  auto i = static_cast<std::size_t>(std::max<std::int64_t>(0, at / step_));
  while (i >= kStepsMax) {
    widen();
    i = static_cast<std::size_t>(at / step_);
  }
  if (i >= steps_.size()) steps_.resize(i + 1);
  return steps_[i];
}

void Series::widen() {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (i == 0) continue;
    Step& to = steps_[i / 2];
    if (i % 2 == 0) {
      to = std::move(steps_[i]);
      continue;
    }
    to.sent += steps_[i].sent;
    to.ok += steps_[i].ok;
    to.failed += steps_[i].failed;
    to.latency += steps_[i].latency;
  }
  steps_.resize((steps_.size() + 1) / 2);
  step_ *= 2;
}

void Series::add(const Series& other, std::chrono::seconds later) {
  for (std::size_t i = 0; i < other.steps_.size(); ++i) {
    const Step& from = other.steps_[i];
    Step& to = step_at(later + other.step_ * static_cast<std::int64_t>(i));
    to.sent += from.sent;
    to.ok += from.ok;
    to.failed += from.failed;
    to.latency += from.latency;
  }
}

std::uint64_t Tally::finished() const {
  return std::accumulate(outcomes.begin(), outcomes.end(), std::uint64_t{0});
}

double Tally::error_rate() const {
  return finished() == 0 ? 0 : static_cast<double>(failed()) / static_cast<double>(finished());
}

void Tally::add(const Tally& other, std::chrono::seconds later) {
  due += other.due;
  sent += other.sent;
  for (std::size_t i = 0; i < kOutcomes; ++i) outcomes[i] += other.outcomes[i];
  events += other.events;
  events_again += other.events_again;
  bytes_in += other.bytes_in;
  last = std::max(last, other.last + later);
  latency += other.latency;
  service += other.service;
  turned_away += other.turned_away;
  waited += other.waited;
  lag += other.lag;
  series.add(other.series, later);
}

}  // namespace covey::load
