#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/process.h"
#include "base/time.h"

namespace covey::http {

/// What a program tells Prometheus, gathered and written in its text format (version 0.0.4).
///
/// Samples of one name come under one heading, in the order in which the names first came; label
/// values may be any text.
class Exposition {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  Exposition();
  ~Exposition();
  Exposition(const Exposition&) = delete;
  Exposition& operator=(const Exposition&) = delete;

  /// Names a family before any sample of it, so that it shows even with none.
  void family(std::string_view name, std::string_view help, bool counter);
  void counter(std::string_view name, std::string_view help, double value, Labels labels = {});
  void gauge(std::string_view name, std::string_view help, double value, Labels labels = {});
  /// @param bounds  upper edges of the buckets, ascending, without the infinite one
  /// @param counts  per bucket, each for itself: one more than `bounds`
  void histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                 std::span<const std::uint64_t> counts, double sum, Labels labels = {});
  /// This process under the names that every client library gives it: process_cpu_seconds_total,
  /// process_resident_memory_bytes, process_open_fds, process_max_fds, process_start_time_seconds.
  void process(const ProcessUse& use, Time started);
  std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace covey::http
