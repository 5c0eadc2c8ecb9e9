#include "population/preset.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "config/document.h"

namespace covey::population {
namespace {

constexpr double kStayMax = 3'650;

constexpr std::string_view kOulad =
#include "population/oulad_preset.inc"
    ;

double number_in(const config::Value& value, double least, double most) {
  const double number = value.number();
  if (value.faulty() || (number >= least && number <= most)) return number;
  value.fault(fmt::format("must be from {} to {}", least, most));
  return least;
}

Quantiles quantiles_in(const config::Value& value, double least, double most) {
  Quantiles out;
  for (const config::Value& point : value.list()) {
    out.points.push_back(number_in(point, least, most));
  }
  if (value.faulty()) return out;
  if (out.points.size() < 2 || out.points.size() > 1'000) {
    value.fault("must be 2 to 1000 quantiles, from the least value to the largest");
  } else if (!std::ranges::is_sorted(out.points)) {
    value.fault("quantiles must not fall");
  }
  return out;
}

std::array<double, kEighths> eighths_in(const config::Value& value, double least, double most) {
  std::array<double, kEighths> out{};
  const auto list = value.list();
  if (list.size() != kEighths) {
    value.fault(fmt::format("must be {} numbers, one for each eighth", kEighths));
    return out;
  }
  for (std::size_t i = 0; i < kEighths; ++i) out[i] = number_in(list[i], least, most);
  return out;
}

// Four digits: more would feign an accuracy that no sample has.
std::string list_of(std::span<const double> numbers) {
  return fmt::format("[{:.4g}]", fmt::join(numbers, ", "));
}

}  // namespace

Quantiles Quantiles::of(std::vector<double> sample, std::size_t points) {
  COVEY_CHECK(!sample.empty());
  COVEY_CHECK(points >= 2);
  std::ranges::sort(sample);
  Quantiles out;
  for (std::size_t i = 0; i < points; ++i) {
    const double at =
        static_cast<double>(i * (sample.size() - 1)) / static_cast<double>(points - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sample.size() - 1);
    out.points.push_back(std::lerp(sample[below], sample[above], at - std::floor(at)));
  }
  return out;
}

double Quantiles::at(double u) const {
  const double place = u * static_cast<double>(points.size() - 1);
  const std::size_t below = std::min(static_cast<std::size_t>(place), points.size() - 2);
  return points[below] + (points[below + 1] - points[below]) * (place - static_cast<double>(below));
}

std::uint32_t Preset::stay_max() const {
  double longest = 1;
  for (const Band& band : bands) longest = std::max(longest, band.stay.largest());
  return static_cast<std::uint32_t>(std::lround(longest));
}

std::uint32_t Preset::events_max() const {
  return static_cast<std::uint32_t>(std::lround(events.largest()));
}

double Preset::events_mean() const {
  double sum = 0;
  const auto& points = events.points;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) sum += (points[i] + points[i + 1]) / 2;
  return (1 - idle) * sum / static_cast<double>(points.size() - 1);
}

std::string Preset::text() const {
  std::string name;
  for (const char c : fitted_to) name += c == '\'' ? "''" : std::string(1, c);
  std::string out = fmt::format(
      "fitted_to: '{}'\nidle: {:.4g}\nidle_withdraw: {:.4g}\nfeedback: {:.4g}\nacted_on: {:.4g}\n"
      "unevenness: {:.4g}\npace: {}\nwithdraw: {}\nevents: {}\nbands:\n",
      name, idle, idle_withdraw, feedback, acted_on, unevenness, list_of(pace), list_of(withdraw),
      list_of(events.points));
  for (const Band& band : bands) {
    out +=
        fmt::format("  - stay: {}\n    per_day: {}\n    novelty: {}\n", list_of(band.stay.points),
                    list_of(band.per_day.points), list_of(band.novelty.points));
  }
  return out;
}

Result<Preset> Preset::parse(std::string name, std::string_view text) {
  auto file = COVEY_TRY(config::Document::parse(std::move(name), text));
  config::Table top = file.top();
  Preset out;
  if (const auto v = top.require("fitted_to", "whose events it describes")) {
    out.fitted_to = v->text();
  }
  const auto share = [&](std::string_view key, std::string_view why, double& to) {
    if (const auto v = top.require(key, why)) to = number_in(*v, 0, 1);
  };
  share("idle", "the share who never practise", out.idle);
  share("idle_withdraw", "the share of those who withdraw", out.idle_withdraw);
  if (const auto v = top.require("feedback", "the share of feedback among events")) {
    out.feedback = number_in(*v, 0, .5);
  }
  share("acted_on", "the share of feedback acted upon", out.acted_on);
  if (const auto v = top.require("unevenness", "how uneven gaps between active days are")) {
    out.unevenness = number_in(*v, 0, 10);
  }
  if (const auto v = top.require("pace", "how gaps grow over the stay")) {
    out.pace = eighths_in(*v, .01, 100);
  }
  if (const auto v =
          top.require("withdraw", "the share who withdraw, by eighth of the longest stay")) {
    out.withdraw = eighths_in(*v, 0, 1);
  }
  if (const auto v = top.require("events", "quantiles of events per learner")) {
    out.events = quantiles_in(*v, 1, kEventsMax);
  }
  if (const auto v = top.require("bands", "what depends on how active a learner is")) {
    const auto bands = v->list();
    if (bands.size() != kBands) {
      v->fault(fmt::format("must be {} bands, one for each sixteenth of learners", kBands));
    }
    for (std::size_t i = 0; i < std::min(kBands, bands.size()); ++i) {
      config::Table band = bands[i].table();
      Preset::Band& to = out.bands[i];
      if (const auto q = band.require("stay", "quantiles of days from the first to the last")) {
        to.stay = quantiles_in(*q, 1, kStayMax);
      }
      if (const auto q = band.require("per_day", "quantiles of practice on an active day")) {
        to.per_day = quantiles_in(*q, 1, kEventsMax);
      }
      if (const auto q = band.require("novelty", "quantiles of the share of new capabilities")) {
        to.novelty = quantiles_in(*q, 0, 1);
      }
      band.done();
    }
  }
  top.done();
  COVEY_TRY_VOID(file.verdict());
  return out;
}

const Preset& oulad_preset() {
  static const Preset preset = [] {
    auto read = Preset::parse("oulad", kOulad);
    COVEY_CHECK(read);
    return std::move(*read);
  }();
  return preset;
}

}  // namespace covey::population
