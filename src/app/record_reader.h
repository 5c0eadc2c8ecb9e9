#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/parallel.h"
#include "events/batch.h"
#include "log/log.h"

namespace covey::app {

/// Decodes every batch of a log, oldest first, a group of them at a time on all threads, and hands
/// each group to `see`. kCorrupt names the record. `progress(done, total)` counts records.
Result<void> read_batches(const log::Log& log, Parallel& parallel,
                          const std::function<void(std::span<const events::Batch* const>)>& see,
                          const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace covey::app
