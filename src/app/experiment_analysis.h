#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/parallel.h"
#include "experiment/analysis.h"
#include "log/log.h"

namespace covey::app {

/// Reads the log twice and weighs what took part: who was exposed, then what they did.
/// `progress(what, done, total)` counts records.
Result<experiment::Analysis> analyze_log(
    const experiment::Experiment& experiment, std::optional<Time> until, const log::Log& log,
    Parallel& parallel,
    const std::function<void(const char*, std::uint64_t, std::uint64_t)>& progress);

}  // namespace covey::app
