// What services and Prometheus answer: whatever the bytes, reading them neither crashes nor gives a
// counter that cannot be, and an answer never differs from itself.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "probes/answers.h"
#include "probes/prometheus.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey::probes;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  require(!difference(bytes, bytes).has_value());
  if (const auto series = read_vector(bytes)) {
    for (const Series& one : *series) require(std::isfinite(one.value) && one.value >= 0);
  }
  for (const auto arm : {covey::telemetry::Arm::kBaseline, covey::telemetry::Arm::kCandidate}) {
    const Gauges gauges = read_gauges(bytes, arm, "EUR");
    const auto levels = levels_between(gauges, gauges, 5);
    require(levels.cpu <= 1'000'000 && levels.memory <= 1'000'000 && levels.network <= 1'000'000);
  }
  const std::size_t half = size / 2;
  (void)difference(bytes.substr(0, half), bytes.substr(half));
  return 0;
}
