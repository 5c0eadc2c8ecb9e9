#include "service/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>

#include "http/json.h"

namespace covey::service {
namespace {

void append_traits_object(std::string& out, const learners::Traits& traits) {
  auto to = std::back_inserter(out);
  for (std::size_t i = 0; i < learners::kTraits; ++i) {
    fmt::format_to(to, R"({}"{}":{})", i == 0 ? '{' : ',', learners::kTraitNames[i],
                   traits.*learners::kTraitFields[i]);
  }
  out += '}';
}

void append_day(std::string& out, std::optional<std::int32_t> day) {
  if (!day) {
    out += "null";
    return;
  }
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{*day}}};
  fmt::format_to(std::back_inserter(out), R"("{:04}-{:02}-{:02}")", static_cast<int>(date.year()),
                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

void append_head(std::string& out, const analyzer::Answer& answer) {
  out += "{\"learner\":";
  http::append_json_string(out, answer.facts.learner);
  fmt::format_to(std::back_inserter(out), R"(,"as_of":"{}","state":"{}")",
                 format_time(answer.as_of), learners::name(answer.facts.state));
}

// What was read of the log, and what that means to a reader who has to trust the rest.
void append_scan(std::string& out, const analyzer::Scan& scan, std::string_view without) {
  fmt::format_to(std::back_inserter(out),
                 R"("log":{{"records":{},"scanned":{},"complete":{},"took_ms":{:.1f}}},"note":)",
                 scan.records, scan.scanned, scan.complete(),
                 std::chrono::duration<double, std::milli>(scan.took).count());
  std::string note;
  if (scan.scanned < scan.records) {
    note = fmt::format("only the newest {} of {} records of the log were read in the time allowed",
                       scan.scanned, scan.records);
  } else if (scan.events_left_out) {
    note = "this learner has more events than one answer may rest on; the oldest are left out";
  }
  if (note.empty()) {
    out += "null";
  } else {
    http::append_json_string(out, fmt::format("{}: {}", note, without));
  }
}

void append_number(std::string& out, std::string_view name, std::optional<double> value) {
  if (value) fmt::format_to(std::back_inserter(out), R"(,"{}":{})", name, *value);
}
void append_text(std::string& out, std::string_view name, std::string_view text) {
  if (text.empty()) return;
  fmt::format_to(std::back_inserter(out), R"(,"{}":)", name);
  http::append_json_string(out, text);
}

void append_event(std::string& out, const events::Event& e) {
  fmt::format_to(std::back_inserter(out), R"({{"time":"{}","type":"{}")", format_time(e.time),
                 events::name(e.type));
  append_text(out, "id", e.id);
  append_text(out, "capability", e.capability);
  append_text(out, "domain", e.domain);
  if (e.acted_on) out += *e.acted_on ? R"(,"acted_on":true)" : R"(,"acted_on":false)";
  append_number(out, "score", e.score);
  append_number(out, "duration_s", e.duration_s);
  append_number(out, "amount", e.amount);
  append_text(out, "currency", e.currency);
  if (e.count) fmt::format_to(std::back_inserter(out), R"(,"count":{})", *e.count);
  if (!e.attributes.empty()) {
    out += R"(,"attributes":{)";
    for (std::size_t i = 0; i < e.attributes.size(); ++i) {
      if (i > 0) out += ',';
      http::append_json_string(out, e.attributes[i].first);
      out += ':';
      http::append_json_string(out, e.attributes[i].second);
    }
    out += '}';
  }
  out += '}';
}

}  // namespace

void append_history(std::string& out, std::string_view learner, const analyzer::Past& past,
                    const std::vector<analyzer::PastFacts>& weeks) {
  out += "{\"learner\":";
  http::append_json_string(out, learner);
  out += R"(,"weeks":[)";
  for (std::size_t i = 0; i < weeks.size(); ++i) {
    const analyzer::PastFacts& week = weeks[i];
    fmt::format_to(std::back_inserter(out), R"({}{{"as_of":"{}","state":)", i == 0 ? "" : ",",
                   format_time(week.as_of));
    if (week.known) {
      fmt::format_to(std::back_inserter(out), R"("{}")", learners::name(week.facts.state));
    } else {
      out += "null";
    }
    fmt::format_to(std::back_inserter(out), R"(,"practice_events":{},"traits":)",
                   week.facts.practice_events);
    if (week.known && week.facts.state != learners::LearnerState::kDormant) {
      append_traits_object(out, week.facts.traits);
    } else {
      out += "null";
    }
    out += '}';
  }
  fmt::format_to(std::back_inserter(out), R"(],"events":{},)", past.newest.size());
  append_scan(out, past.scan, "traits over time need all of them");
  out += '}';
}

void append_events(std::string& out, std::string_view learner, const analyzer::Past& past,
                   std::size_t from, std::size_t limit, std::string_view next) {
  out += "{\"learner\":";
  http::append_json_string(out, learner);
  out += R"(,"events":[)";
  std::vector<events::Attribute> attributes;
  for (std::size_t i = from; i < past.newest.size() && i - from < limit; ++i) {
    if (i > from) out += ',';
    append_event(out, past.events.event(past.row[i], attributes));
  }
  out += R"(],"next":)";
  if (next.empty()) {
    out += "null";
  } else {
    http::append_json_string(out, next);
  }
  fmt::format_to(std::back_inserter(out), R"(,"found":{},)", past.newest.size());
  append_scan(out, past.scan, "older events may be missing here");
  out += '}';
}

void append_learner(std::string& out, const analyzer::Answer& answer, std::string_view engine) {
  const learners::LearnerFacts& facts = answer.facts;
  auto to = std::back_inserter(out);
  append_head(out, answer);
  out += ",\"traits\":";
  if (facts.state == learners::LearnerState::kDormant) {
    out += "null";
  } else {
    append_traits_object(out, facts.traits);
  }
  fmt::format_to(to, R"(,"specialist":{},"cohort":)", facts.specialist);
  if (answer.cohort) {
    fmt::format_to(to, R"({{"id":{},"archetype":"{}","share":{}}})", answer.cohort->id,
                   cohorts::name(answer.cohort->archetype), answer.cohort->share);
  } else {
    out += "null";
  }
  fmt::format_to(
      to, R"(,"practice_events":{},"feedback":{{"received":{},"acted_on":{}}},"first_active":)",
      facts.practice_events, facts.feedback_received, facts.feedback_acted_on);
  append_day(out, facts.first_active_day);
  out += ",\"last_active\":";
  append_day(out, facts.last_active_day);
  out += ",\"attributes\":{";
  bool first = true;
  for (const auto& [key, value] : facts.attributes) {
    if (!first) out += ',';
    first = false;
    http::append_json_string(out, key);
    out += ':';
    http::append_json_string(out, value);
  }
  fmt::format_to(to, R"(}},"engine":"{}"}})", engine);
}

void append_traits(std::string& out, const analyzer::Answer& answer) {
  append_head(out, answer);
  const bool dormant = answer.facts.state == learners::LearnerState::kDormant;
  for (std::size_t i = 0; i < learners::kTraits; ++i) {
    if (dormant) {
      fmt::format_to(std::back_inserter(out), R"(,"{}":null)", learners::kTraitNames[i]);
    } else {
      fmt::format_to(std::back_inserter(out), R"(,"{}":{})", learners::kTraitNames[i],
                     answer.facts.traits.*learners::kTraitFields[i]);
    }
  }
  out += '}';
}

void append_receipt_members(std::string& out, const analyzer::Receipt& receipt,
                            const std::vector<RowError>& errors) {
  auto to = std::back_inserter(out);
  fmt::format_to(to, R"("accepted":{},"duplicates":{},"rejected":{},"errors":[)", receipt.accepted,
                 receipt.duplicates, receipt.rejected);
  const std::size_t shown = std::min(errors.size(), kRowErrorsMax);
  for (std::size_t i = 0; i < shown; ++i) {
    fmt::format_to(to, R"({}{{"line":{},"reason":)", i == 0 ? "" : ",", errors[i].line);
    http::append_json_string(out, errors[i].reason);
    out += '}';
  }
  fmt::format_to(to, R"(],"errors_omitted":{})",
                 receipt.rejected > shown ? receipt.rejected - shown : 0);
}

}  // namespace covey::service
