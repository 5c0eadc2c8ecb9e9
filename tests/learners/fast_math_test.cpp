#include "learners/fast_math.h"

#include <random>

#include <gtest/gtest.h>

namespace covey::learners {
namespace {

TEST(FastMath, Log2IsLibmsToItsPromise) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200'000; ++i) {
    const double exponent = static_cast<double>(random() % 1400) - 700;
    const double w = std::exp2(exponent) * (1 + static_cast<double>(random() >> 12) * 0x1p-52);
    const double exact = std::log2(w);
    ASSERT_NEAR(fast_log2(w), exact, 1e-15 + 2.3e-16 * std::abs(exact)) << w;
  }
}

TEST(FastMath, Log2AtTheEdgesOfItsBins) {
  for (std::size_t bin = 0; bin <= detail::kLog2Bins; ++bin) {
    const double edge = 1 + static_cast<double>(bin) / detail::kLog2Bins;
    for (const double w : {std::nextafter(edge, 0.0), edge, std::nextafter(edge, 4.0)}) {
      ASSERT_NEAR(fast_log2(w), std::log2(w), 2e-15) << w;
    }
  }
  EXPECT_NEAR(fast_log2(1.0), 0.0, 1e-15);
}

TEST(FastMath, DecayIsExp) {
  std::mt19937_64 random(8);
  for (int i = 0; i < 200'000; ++i) {
    // A fifth of the days lie outside the table.
    const auto day = static_cast<std::int64_t>(random() % 1280) - 128;
    const double fraction = static_cast<double>(random() >> 11) * 0x1p-53;
    const double exact = std::exp(kDomainDecayPerDay * (static_cast<double>(day) + fraction));
    ASSERT_NEAR(domain_decay(day, fraction) / exact, 1.0, 8e-15) << day << " + " << fraction;
  }
}

}  // namespace
}  // namespace covey::learners
