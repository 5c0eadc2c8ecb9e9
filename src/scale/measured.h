#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "load/generator.h"
#include "scale/ledger.h"

namespace covey::scale {

/// What of a machine a figure depends on.
struct Machine {
  std::string cpu, kernel;
  unsigned cores = 0;
  std::uint64_t memory_bytes = 0;
  double load_average = 0;  ///< of a minute, when the test began
};

/// A moment of a server process.
struct Sample {
  double second = 0;           ///< since its phase began
  double cores = 0;            ///< processor time over wall time since the sample before
  std::uint64_t resident = 0;  ///< bytes
};

struct Serving {
  load::Settings settings;
  load::Totals totals;
  std::vector<Sample> samples;
  double cores = 0;  ///< of the server, on average
};

struct Recovery {
  load::Settings settings;
  double killed_after_s = 0;
  double ready_s = 0;  ///< from starting the process again to 200 on /readyz
  Ledger ledger;
  std::uint64_t learners_checked = 0;
  std::uint64_t learners_off = 0;  ///< whose practice_events is not what was sent
};

struct Overload {
  load::Settings settings;
  double sustained_per_s = 0;  ///< events a second, one batch after another
  double asked_per_s = 0;
  load::Totals totals;
  std::vector<Sample> samples;
  Ledger ledger;
  load::Settings after_settings;
  load::Totals after;                  ///< the load of serving, right behind it
  std::optional<double> back_after_s;  ///< when it kept to all again; nothing: not within `after`
};

/// All that was measured of one number of learners; what is empty was not.
struct SizeResult {
  std::uint64_t learners = 0;
  double events_per_learner = 0;
  std::uint64_t ceiling_bytes = 0;  ///< what `covey serve --memory` was given

  std::optional<std::uint64_t> events;  ///< imported: stored durably, counted by the receipt
  double import_s = 0, import_cpu_s = 0;
  std::uint64_t disk_bytes = 0;

  std::optional<double> first_ready_s;
  std::vector<double> discovery_s;        ///< alone, one after another, as their caller saw them
  std::optional<double> discovery_cpu_s;  ///< of the server, for one
  std::optional<std::uint64_t> resident;  ///< after the discoveries, before any load

  std::optional<Recovery> recovery;
  std::optional<Serving> serving;
  std::optional<Overload> overload;
  std::optional<std::uint64_t> peak_resident;  ///< the highest of all its server processes

  double seconds = 0;                 ///< that all of it took
  std::vector<std::string> failures;  ///< why something is empty
};

struct Measured {
  std::string version, made;
  Machine machine;
  std::vector<SizeResult> sizes;  ///< ascending
};

/// The first second from which on every one has no error and its P99 of look-ups within the limit;
/// nothing where the last one has not, or nothing was asked.
std::optional<double> back_after(const load::Totals& totals, telemetry::Duration p99_max);

}  // namespace covey::scale
