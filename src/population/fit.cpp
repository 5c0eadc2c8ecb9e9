#include "population/fit.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "population/active_days.h"
#include "stats/rank_tests.h"

namespace covey::population {
namespace {

constexpr std::size_t kEventPoints = 65, kBandPoints = 17;
constexpr std::uint32_t kPaceGapsMin = 2 * kEighths;  // fewer say nothing of a pace

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

/// Gaps at each place of the stay, relative to the learner's own mean gap.
std::array<double, kEighths> pace_of(const std::vector<const Record*>& records) {
  std::array<double, kEighths> sum{}, count{};
  for (const Record* record : records) {
    const std::size_t gaps = record->days.size() - 1;
    // The day that every gap has is no question of pace.
    const double left_over = record->stay() - static_cast<double>(record->days.size());
    if (gaps < kPaceGapsMin || left_over <= 0) continue;
    for (std::size_t gap = 0; gap < gaps; ++gap) {
      const std::size_t band = gap * kEighths / gaps;
      sum[band] +=
          (record->days[gap + 1] - record->days[gap] - 1) / (left_over / static_cast<double>(gaps));
      ++count[band];
    }
  }
  std::array<double, kEighths> out{};
  for (std::size_t band = 0; band < kEighths; ++band) {
    out[band] = count[band] > 0 ? std::clamp(sum[band] / count[band], .01, 100.) : 1;
  }
  return out;
}

/// Golden-section search for the unevenness that brings simulated gaps nearest to the real ones.
double unevenness_of(const std::vector<const Record*>& records,
                     const std::array<double, kEighths>& pace, const std::vector<double>& real) {
  const auto distance = [&](double unevenness) {
    const ActiveDays days(unevenness, pace);
    Random random = Random(1).fork("fit");
    std::vector<double> gaps;
    gaps.reserve(real.size());
    std::vector<std::uint32_t> drawn;
    for (const Record* record : records) {
      days.draw(static_cast<std::uint32_t>(record->days.size()), record->stay(), random, drawn);
      for (std::size_t i = 1; i < drawn.size(); ++i) gaps.push_back(drawn[i] - drawn[i - 1]);
    }
    const auto ks = stats::ks_two_sample(gaps, real);
    COVEY_CHECK(ks && ks->d);
    return *ks->d;
  };
  const double part = (std::sqrt(5) - 1) / 2;
  double low = .2, high = 5;
  double a = high - part * (high - low), b = low + part * (high - low);
  double at_a = distance(a), at_b = distance(b);
  while (high - low > .02) {
    if (at_a <= at_b) {
      high = b;
      b = a;
      at_b = at_a;
      a = high - part * (high - low);
      at_a = distance(a);
    } else {
      low = a;
      a = b;
      at_a = at_b;
      b = low + part * (high - low);
      at_b = distance(b);
    }
  }
  return (low + high) / 2;
}

}  // namespace

Result<Preset> fit(const std::vector<Record>& records, std::string name) {
  Preset out;
  std::vector<const Record*> practising;
  double events = 0, feedback = 0, acted_on = 0, idle_withdrew = 0;
  for (const Record& record : records) {
    events += record.events();
    feedback += record.feedback;
    acted_on += record.acted_on;
    if (!record.days.empty()) {
      practising.push_back(&record);
    } else if (record.withdrew) {
      ++idle_withdrew;
    }
  }
  if (practising.size() < kFitLearnersMin) {
    return fail(Errc::kRejected, fmt::format("{} learners practise in {}; a fit needs {}",
                                             practising.size(), name, kFitLearnersMin));
  }
  const auto n = practising.size();
  const auto idle = static_cast<double>(records.size() - n);
  out.fitted_to = fmt::format("{}, {} learners, {:.0f} events", name, records.size(), events);
  out.idle = idle / static_cast<double>(records.size());
  out.idle_withdraw = share(idle_withdrew, idle);
  // More would be no practice with feedback but feedback with practice.
  out.feedback = std::min(.5, share(feedback, events));
  out.acted_on = share(acted_on, feedback);

  std::uint32_t stay_max = 1;
  for (const Record* record : practising) stay_max = std::max(stay_max, record->stay());
  std::array<double, kEighths> withdrew{}, stayed{};
  for (const Record* record : practising) {
    const std::size_t eighth = Preset::eighth_of(record->stay(), stay_max);
    ++stayed[eighth];
    if (record->withdrew) ++withdrew[eighth];
  }
  for (std::size_t i = 0; i < kEighths; ++i) out.withdraw[i] = share(withdrew[i], stayed[i]);

  std::ranges::stable_sort(practising, {}, &Record::events);
  std::vector<double> sizes, gaps;
  for (const Record* record : practising) {
    sizes.push_back(record->events());
    for (std::size_t i = 1; i < record->days.size(); ++i) {
      gaps.push_back(record->days[i] - record->days[i - 1]);
    }
  }
  if (gaps.empty()) {
    return fail(Errc::kRejected, fmt::format("nobody in {} practises on two days", name));
  }
  out.events = Quantiles::of(sizes, kEventPoints);
  for (std::size_t b = 0; b < kBands; ++b) {
    std::vector<double> stay, per_day, novelty;
    for (std::size_t i = b * n / kBands; i < (b + 1) * n / kBands; ++i) {
      const Record& record = *practising[i];
      stay.push_back(record.stay());
      per_day.push_back(record.practice / static_cast<double>(record.days.size()));
      if (record.practice > 1) {
        novelty.push_back((record.capabilities - 1.) / (record.practice - 1.));
      }
    }
    if (novelty.empty()) novelty.push_back(0);
    Preset::Band& band = out.bands[b];
    band.stay = Quantiles::of(std::move(stay), kBandPoints);
    band.per_day = Quantiles::of(std::move(per_day), kBandPoints);
    band.novelty = Quantiles::of(std::move(novelty), kBandPoints);
  }
  out.pace = pace_of(practising);
  out.unevenness = unevenness_of(practising, out.pace, gaps);
  return out;
}

}  // namespace covey::population
