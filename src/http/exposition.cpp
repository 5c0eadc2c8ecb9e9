#include "http/exposition.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <sstream>

namespace covey::http {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct Exposition::Families {
  std::vector<MetricFamily> all;

  MetricFamily& named(std::string_view name, std::string_view help, MetricType type) {
    const auto known = std::ranges::find(all, name, &MetricFamily::name);
    if (known != all.end()) return *known;
    MetricFamily made;
    made.name = name;
    made.help = help;
    made.type = type;
    return all.emplace_back(std::move(made));
  }
  ClientMetric& add(std::string_view name, std::string_view help, MetricType type, Labels labels) {
    ClientMetric metric;
    for (auto& [key, value] : labels) metric.label.push_back({std::move(key), std::move(value)});
    return named(name, help, type).metric.emplace_back(std::move(metric));
  }
};

Exposition::Exposition() : families_(std::make_unique<Families>()) {}
Exposition::~Exposition() = default;

void Exposition::family(std::string_view name, std::string_view help, bool counter) {
  families_->named(name, help, counter ? MetricType::Counter : MetricType::Gauge);
}

void Exposition::counter(std::string_view name, std::string_view help, double value,
                         Labels labels) {
  families_->add(name, help, MetricType::Counter, std::move(labels)).counter.value = value;
}

void Exposition::gauge(std::string_view name, std::string_view help, double value, Labels labels) {
  families_->add(name, help, MetricType::Gauge, std::move(labels)).gauge.value = value;
}

void Exposition::histogram(std::string_view name, std::string_view help,
                           std::span<const double> bounds, std::span<const std::uint64_t> counts,
                           double sum, Labels labels) {
  auto& out = families_->add(name, help, MetricType::Histogram, std::move(labels)).histogram;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    below += counts[i];
    out.bucket.push_back(
        {below, i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity()});
  }
  out.sample_count = below;
  out.sample_sum = sum;
}

void Exposition::process(const ProcessUse& use, Time started) {
  counter("process_cpu_seconds_total", "User and system time, seconds.", use.cpu_seconds);
  gauge("process_resident_memory_bytes", "Resident memory, bytes.", use.resident_bytes);
  gauge("process_open_fds", "Open file descriptors.", use.open_files);
  gauge("process_max_fds", "As many may be open.", use.open_files_max);
  gauge("process_start_time_seconds", "Start, seconds since 1970.",
        std::chrono::duration<double>(started.time_since_epoch()).count());
}

std::string Exposition::text() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families_->all);
  return std::move(out).str();
}

}  // namespace covey::http
