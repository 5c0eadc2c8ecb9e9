// An experiment file from anyone: whatever the bytes, they are read or refused with their place,
// and what is read keeps the limits the analysis relies on.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "experiment/definition.h"
#include "require.h"

using namespace covey::experiment;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read =
      parse_experiment("f", std::string_view(reinterpret_cast<const char*>(data), size));
  if (!read) {
    require(!read.error().message.empty());
    return 0;
  }
  const Assignment& a = read->assignment;
  require(a.begin < a.end && a.end <= kBuckets && a.holdout <= kBuckets);
  require(a.control + a.treatment <= a.end - a.begin);
  require(!read->metrics.empty() && read->metrics.size() <= kMetricsMax);
  require(read->segments.size() <= kSegmentsMax);
  require(read->alpha > 0 && read->alpha < 1 && read->tune > 0 && read->mde > 0);
  for (const Metric& metric : read->metrics) {
    require(!metric.winsorize || (*metric.winsorize >= 0.5 && *metric.winsorize < 1));
    require(metric.kind != MetricKind::kRetention || metric.to > metric.from);
  }
  require(!read->impact || read->impact->metric < read->metrics.size());
  return 0;
}
