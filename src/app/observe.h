#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "population/marginals.h"

namespace covey::app {

/// Reads events from files into `observer`: a folder is an OULAD package, a name ending in .csv
/// (or .csv.zst) is CSV, all else is NDJSON. kRejected with its place: a row that is no event, for
/// figures on the rest would be figures on something else.
Result<void> observe(const std::vector<std::string>& paths, population::Observer& observer);

}  // namespace covey::app
