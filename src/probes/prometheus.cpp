#include "probes/prometheus.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace covey::probes {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::milliseconds kPatience{2'000};
/// A scrape takes time, and what it found is there a little later.
constexpr std::chrono::seconds kGrace{1};
constexpr std::size_t kPlain = 3;  // sent, unanswered, wrong

}  // namespace

Result<std::vector<Series>> read_vector(std::string_view body) {
  const Json json = Json::parse(body, nullptr, false);
  const auto no = [](std::string why) { return fail(Errc::kRejected, std::move(why)); };
  if (!json.is_object()) return no("the answer is no JSON object");
  if (json.value("status", Json()) != "success") {
    const Json error = json.value("error", Json());
    return no(error.is_string() ? error.get<std::string>() : "no success");
  }
  const Json data = json.value("data", Json());
  if (!data.is_object() || data.value("resultType", Json()) != "vector" ||
      !data.value("result", Json()).is_array()) {
    return no("the query's result is no instant vector");
  }
  std::vector<Series> out;
  for (const Json& one : data["result"]) {
    const Json metric = one.is_object() ? one.value("metric", Json()) : Json();
    const Json value = one.is_object() ? one.value("value", Json()) : Json();
    if (!metric.is_object() || !value.is_array() || value.size() != 2 || !value[1].is_string()) {
      return no("a series without metric or value");
    }
    Series series;
    const Json arm = metric.value("arm", Json());
    if (arm != "baseline" && arm != "candidate") {
      return no("a series without the label arm, which is baseline or candidate: " + metric.dump());
    }
    series.arm = arm == "candidate" ? telemetry::Arm::kCandidate : telemetry::Arm::kBaseline;
    if (const Json segment = metric.value("segment", Json()); segment.is_string()) {
      series.segment = segment.get<std::string>();
    }
    const auto text = value[1].get<std::string>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), series.value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(series.value) ||
        series.value < 0 || series.value > 1e15) {
      return no("a counter that is no number: " + text);
    }
    out.push_back(std::move(series));
  }
  return out;
}

Result<std::unique_ptr<Prometheus>> Prometheus::make(const plan::Plan& plan,
                                                     const telemetry::Shape& shape,
                                                     const Clock& clock, Slots slots) {
  COVEY_CHECK(plan.prometheus.has_value());
  const auto url = COVEY_TRY(http::parse_url(plan.prometheus->url));
  return std::unique_ptr<Prometheus>(new Prometheus(plan, shape, clock, std::move(slots), url));
}

Prometheus::Prometheus(const plan::Plan& plan, const telemetry::Shape& shape, const Clock& clock,
                       Slots slots, http::Url url)
    : source_(*plan.prometheus),
      slot_(plan.slot),
      shape_(shape),
      clock_(clock),
      slots_(std::move(slots)),
      client_(url),
      path_(url.target) {
  while (path_.ends_with('/')) path_.pop_back();
}

Result<void> Prometheus::read_one(const std::string& query, Time at, std::size_t place,
                                  Counters& out) {
  const std::string target =
      fmt::format("{}/api/v1/query?query={}&time={:.3f}", path_, http::percent_encode(query),
                  static_cast<double>(at.time_since_epoch().count()) * 1e-6);
  const auto answer = COVEY_TRY(client_.ask({.target = target}, kPatience));
  auto series = read_vector(answer.body);
  if (!series) {
    return fail(Errc::kRejected,
                fmt::format("{}: {} (HTTP {})", query, series.error().message, answer.status));
  }
  for (const Series& one : *series) {
    const auto segment = std::ranges::find(shape_.segments, one.segment);
    const std::size_t index = segment == shape_.segments.end()
                                  ? shape_.segments.size() - 1
                                  : static_cast<std::size_t>(segment - shape_.segments.begin());
    auto& cell = out[{one.arm, index}];
    cell.resize(kPlain + shape_.slower_than.size());
    cell[place] += one.value;  // several unknown segments are one
  }
  return {};
}

Result<Prometheus::Counters> Prometheus::read(Time at) {
  Counters out;
  COVEY_TRY_VOID(read_one(source_.sent, at, 0, out));
  COVEY_TRY_VOID(read_one(source_.unanswered, at, 1, out));
  COVEY_TRY_VOID(read_one(source_.wrong, at, 2, out));
  for (std::size_t i = 0; i < shape_.slower_than.size(); ++i) {
    std::string query = source_.slower;
    const std::string limit =
        fmt::format("{}", std::chrono::duration<double>(shape_.slower_than[i]).count());
    for (std::size_t mark = 0; (mark = query.find("$limit", mark)) != std::string::npos;) {
      query.replace(mark, 6, limit);
    }
    Counters slower;
    COVEY_TRY_VOID(read_one(query, at, kPlain + i, slower));
    // A bucket that does not exist answers nothing, which must not look like nobody slow.
    if (slower.empty() && !out.empty()) {
      return fail(Errc::kRejected,
                  fmt::format("{}: no series; is {} s an edge of the histogram?", query, limit));
    }
    for (const auto& [cell, counters] : slower) {
      auto& whole = out[cell];
      whole.resize(kPlain + shape_.slower_than.size());
      whole[kPlain + i] = counters[kPlain + i];
    }
  }
  return out;
}

bool Prometheus::grown(const Counters& now, telemetry::Sums& sums) {
  bool any = false;
  for (const auto& [cell, counters] : now) {
    const auto at = before_->find(cell);
    std::vector<std::uint64_t> grew;
    for (std::size_t i = 0; i < counters.size(); ++i) {
      const double from = at == before_->end() ? 0 : at->second[i];
      if (counters[i] < from) return false;  // its process began anew
      grew.push_back(static_cast<std::uint64_t>(counters[i] - from + 0.5));
    }
    any |= grew[0] > 0;
    std::vector<std::uint64_t> slow(grew.begin() + kPlain, grew.end()), bad = slow;
    for (std::uint64_t& b : bad) {
      // Slow and wrong may be the same request; counting it twice errs on the safe side.
      b = std::min(grew[0], b + grew[1] + grew[2]);
    }
    sums.add(cell.first, cell.second, grew[0], std::min(grew[1], grew[0]),
             std::min(grew[2], grew[0]), slow, bad);
  }
  // A series that vanished took its requests along.
  for (const auto& [cell, counters] : *before_) {
    if (!now.contains(cell)) return false;
  }
  return any;
}

std::optional<telemetry::ClosedSlot> Prometheus::slot(Time end) {
  auto now = read(end);
  std::string trouble;
  telemetry::ClosedSlot out{end, telemetry::Sums(shape_), false, {}};
  const bool first = !before_;
  if (!now) {
    trouble = now.error().message;
    // The next good reading counts what came meanwhile; the time stays missing.
  } else {
    if (!first) {
      telemetry::Sums sums(shape_);
      out.complete = grown(*now, sums);
      if (out.complete) out.sums = std::move(sums);
      if (!out.complete) trouble = "no counter grew, or one began anew";
    }
    before_ = std::move(*now);
  }
  {
    const std::lock_guard lock(mutex_);
    trouble_ = std::move(trouble);
  }
  if (first) return std::nullopt;
  return out;
}

std::string Prometheus::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Prometheus::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

void Prometheus::run() {
  const auto since = clock_.wall().time_since_epoch();
  Time end(since - since % slot_ + slot_);
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      const auto left = end + kGrace - clock_.wall();
      if (left.count() > 0) wake_.wait_for(lock, left, [this] { return stopping_; });
      if (stopping_) return;
      if (clock_.wall() < end + kGrace) continue;
    }
    std::vector<telemetry::ClosedSlot> one;
    if (auto closed = slot(end)) one.push_back(std::move(*closed));
    if (!one.empty()) slots_(std::move(one));
    end += slot_;
  }
}

}  // namespace covey::probes
