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

}  // namespace

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
