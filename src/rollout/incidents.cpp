#include <algorithm>

#include <fmt/format.h>

#include "rollout/stepper.h"

namespace covey::rollout {
namespace {

bool calls_people(Severity severity) {
  return severity == Severity::kCritical || severity == Severity::kHigh;
}

}  // namespace

Incident& Stepper::open_incident(Severity severity, std::string key, std::string title,
                                 std::string source, std::vector<Evidence> evidence,
                                 bool answered) {
  for (Incident& incident : s_.incidents) {
    if (incident.key != key || !incident.open()) continue;
    ++incident.times;
    const bool worse = severity < incident.severity;
    if (!worse) return incident;
    incident.severity = severity;
    if (severity == Severity::kCritical) incident.critical = s_.now;
    incident.answered = incident.answered && answered;
    incident.title = std::move(title);
    call(incident);
    return incident;
  }
  if (s_.incidents.size() >= Limits{}.incidents_max) {
    // A critical one may count against a window that is still open.
    auto oldest = std::ranges::find_if(s_.incidents,
                                       [](const Incident& i) { return !i.open() && !i.critical; });
    if (oldest == s_.incidents.end()) {
      oldest = std::ranges::find_if(s_.incidents, [](const Incident& i) { return !i.open(); });
    }
    if (oldest != s_.incidents.end()) {
      s_.incidents.erase(oldest);
    } else {
      ++s_.incidents.back().times;  // a thousand open ones: one more would tell nobody anything
      return s_.incidents.back();
    }
  }
  Incident incident;
  incident.id = s_.next_incident++;
  incident.severity = severity;
  incident.key = std::move(key);
  incident.title = std::move(title);
  incident.source = std::move(source);
  incident.phase = phase_name();
  incident.opened = s_.now;
  if (severity == Severity::kCritical) incident.critical = s_.now;
  incident.answered = answered;
  incident.evidence = std::move(evidence);
  s_.incidents.push_back(std::move(incident));
  decide("incident", fmt::format("#{} {}: {}", s_.incidents.back().id, plan::name(severity),
                                 s_.incidents.back().title));
  call(s_.incidents.back());
  return s_.incidents.back();
}

void Stepper::call(Incident& incident) {
  Notify notify;
  notify.severity = incident.severity;
  notify.title = incident.title;
  notify.incident = incident.id;
  if (calls_people(incident.severity)) {
    const plan::Shift* shift = plan_.roster.on_duty(s_.now);
    Call one{s_.now, {}};
    if (shift != nullptr && !shift->people.empty()) {
      // The last of the list is called again and again.
      const std::size_t who = std::min(incident.called_to, shift->people.size() - 1);
      notify.people.push_back(shift->people[who]);
      notify.text = fmt::format("{} is called", shift->people[who]);
      one.person = shift->people[who];
      ++incident.called_to;
    }
    // The first stays: it says how long it took until somebody was called at all.
    if (incident.calls.size() >= Limits{}.calls_kept)
      incident.calls.erase(incident.calls.begin() + 1);
    incident.calls.push_back(std::move(one));
  }
  incident.called = s_.now;
  act(std::move(notify), fmt::format("incident #{}", incident.id));
}

void Stepper::escalate() {
  if (plan_.roster.acknowledge_within.count() <= 0) return;
  for (Incident& incident : s_.incidents) {
    if (!incident.open() || incident.acknowledged || !calls_people(incident.severity)) continue;
    if (s_.now - incident.called < plan_.roster.acknowledge_within) continue;
    decide("escalate", fmt::format("#{} is not acknowledged: the next one is called", incident.id));
    call(incident);
  }
}

void Stepper::resolve_incident(std::string_view key, const std::string& by) {
  for (Incident& incident : s_.incidents) {
    if (incident.key != key || !incident.open()) continue;
    incident.resolved = s_.now;
    incident.resolved_by = by;
    decide("resolve", fmt::format("#{} {}: by {}", incident.id, incident.title, by));
    Notify notify;
    notify.severity = incident.severity;
    notify.title = incident.title;
    notify.incident = incident.id;
    notify.resolved = true;
    act(std::move(notify), fmt::format("incident #{} is resolved", incident.id));
  }
}

std::size_t Stepper::critical_incidents() const {
  return static_cast<std::size_t>(std::ranges::count_if(s_.incidents, [](const Incident& i) {
    return i.open() && i.severity == Severity::kCritical && !i.answered;
  }));
}

std::size_t Stepper::critical_incidents_since(Time from) const {
  return static_cast<std::size_t>(std::ranges::count_if(s_.incidents, [&](const Incident& i) {
    return i.critical && (i.open() || *i.critical >= from);
  }));
}

void Stepper::on(const Acknowledge& acknowledge) {
  for (Incident& incident : s_.incidents) {
    if (incident.id != acknowledge.incident) continue;
    if (!incident.open() || incident.acknowledged) {
      refuse(fmt::format("#{} is {} already", incident.id,
                         incident.open() ? "acknowledged" : "resolved"));
      return;
    }
    incident.acknowledged = s_.now;
    incident.acknowledged_by = acknowledge.person;
    decide("acknowledge", fmt::format("{} takes #{}", acknowledge.person, incident.id));
    return;
  }
  refuse(fmt::format("there is no incident #{}", acknowledge.incident));
}

void Stepper::on(const Resolve& resolve) {
  for (Incident& incident : s_.incidents) {
    if (incident.id != resolve.incident) continue;
    if (!incident.open()) {
      refuse(fmt::format("#{} is resolved already", incident.id));
      return;
    }
    resolve_incident(std::string(incident.key), resolve.person);
    return;
  }
  refuse(fmt::format("there is no incident #{}", resolve.incident));
}

}  // namespace covey::rollout
