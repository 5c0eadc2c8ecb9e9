#include "probes/impacts.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "http/target.h"

namespace covey::probes {
namespace {

using Json = nlohmann::json;
using rollout::SetImpact;

constexpr std::chrono::seconds kAnswersWithin{5};
constexpr std::string_view kIncidentKey = "experiment";

Error rejected(std::string why) {
  return {Errc::kRejected, std::move(why)};
}

std::optional<double> number(const Json& json) {
  if (!json.is_number() || !std::isfinite(json.get<double>())) return std::nullopt;
  return json.get<double>();
}

/// Estimate and interval of one metric, if the analysis has them yet.
std::optional<SetImpact> impact_of(plan::Measure measure, const Json& metric) {
  const auto at = metric.find("sequential");
  if (at == metric.end() || !at->is_object()) return std::nullopt;
  const bool churn = measure == plan::Measure::kChurn;
  const auto estimate = number(at->value(churn ? "diff" : "lift", Json()));
  const Json interval = at->value(churn ? "diff_interval" : "lift_interval", Json());
  if (!estimate || !interval.is_array() || interval.size() != 2) return std::nullopt;
  const auto low = number(interval[0]), high = number(interval[1]);
  if (!low || !high || !(*low <= *estimate && *estimate <= *high)) return std::nullopt;
  SetImpact out;
  out.measure = measure;
  out.estimate = *estimate;
  out.interval = {*low, *high};
  return out;
}

}  // namespace

Result<std::vector<SetImpact>> read_impacts(const plan::ImpactSource& source,
                                            std::string_view body) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return std::unexpected(rejected("the answer is no JSON object"));
  const auto text = [&](const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  if (text("experiment") != source.experiment) {
    return std::unexpected(
        rejected(fmt::format("the answer is not of the experiment {}", source.experiment)));
  }
  if (text("type") != "ab") {
    return std::unexpected(rejected("both arms of an A/A experiment get the same"));
  }
  if (text("verdict") == "invalid") {
    return std::unexpected(
        rejected("its arms are not as planned: nothing that it says can be believed"));
  }
  const auto as_of = parse_time(text("as_of"));
  if (!as_of) return std::unexpected(rejected("the answer does not say as of when it is"));
  const auto metrics = json.find("metrics");
  if (metrics == json.end() || !metrics->is_array()) {
    return std::unexpected(rejected("the answer has no metrics"));
  }
  std::vector<SetImpact> out;
  const std::pair<plan::Measure, const std::string*> wanted[] = {
      {plan::Measure::kRevenue, &source.revenue},
      {plan::Measure::kChurn, &source.churn},
      {plan::Measure::kEngagement, &source.engagement}};
  for (const auto& [measure, name] : wanted) {
    if (name->empty()) continue;
    const auto at = std::ranges::find_if(*metrics, [&](const Json& metric) {
      return metric.is_object() && metric.value("name", Json()) == *name;
    });
    if (at == metrics->end()) {
      return std::unexpected(rejected(fmt::format("the experiment has no metric '{}'", *name)));
    }
    if (auto impact = impact_of(measure, *at)) {
      impact->as_of = *as_of;
      impact->source = fmt::format("experiment {}, metric {}, analysed by {}", source.experiment,
                                   *name, source.address);
      out.push_back(std::move(*impact));
    }
  }
  return out;
}

Result<std::unique_ptr<Impacts>> Impacts::make(const plan::Plan& plan, const Clock& clock,
                                               Input input, std::function<void(std::string)> over) {
  COVEY_CHECK(plan.impacts.fetched());
  const http::Url url = COVEY_TRY(http::parse_host_port(plan.impacts.address));
  return std::unique_ptr<Impacts>(
      new Impacts(plan.impacts, clock, std::move(input), std::move(over), url));
}

Impacts::Impacts(const plan::ImpactSource& source, const Clock& clock, Input input,
                 std::function<void(std::string)> over, http::Url url)
    : source_(source),
      clock_(clock),
      input_(std::move(input)),
      over_(std::move(over)),
      client_(url),
      target_("/v1/experiments/" + http::percent_encode(source.experiment)) {}

void Impacts::ask() {
  std::string trouble;
  const auto answer = client_.ask({.target = target_}, kAnswersWithin);
  if (!answer) {
    trouble = answer.error().message;
  } else if (answer->status != 200) {
    trouble = fmt::format("{} answers {} to {}", source_.address, answer->status, target_);
  } else if (const auto read = read_impacts(source_, answer->body); !read) {
    trouble = read.error().message;
  } else {
    for (const SetImpact& impact : *read) {
      const std::pair told{impact.measure, impact.as_of};
      if (std::ranges::find(told_, told) != told_.end()) continue;
      std::erase_if(told_, [&](const auto& before) { return before.first == impact.measure; });
      told_.push_back(told);
      input_(impact);
    }
  }
  if (trouble.empty()) {
    if (troubles_ >= kTroublesTold) over_(std::string(kIncidentKey));
    troubles_ = 0;
  } else if (++troubles_ == kTroublesTold) {
    input_(rollout::ReportIncident{
        plan::Severity::kMedium, std::string(kIncidentKey),
        fmt::format("what the experiment {} says can't be read: {}", source_.experiment, trouble),
        "experiment"});
  }
  const std::lock_guard lock(mutex_);
  trouble_ = std::move(trouble);
}

std::string Impacts::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Impacts::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

void Impacts::run() {
  for (;;) {
    const auto begun = clock_.now();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    ask();
    std::unique_lock lock(mutex_);
    const auto rest = std::max(std::chrono::nanoseconds(0),
                               std::chrono::nanoseconds(source_.every) - (clock_.now() - begun));
    if (wake_.wait_for(lock, rest, [this] { return stopping_; })) return;
  }
}

}  // namespace covey::probes
