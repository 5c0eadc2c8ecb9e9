#pragma once

#include <string>

#include "experiment/analysis.h"

namespace covey::experiment {

/// The whole analysis as one JSON object; docs/experiments.md names its fields.
std::string to_json(const Analysis& analysis);

/// One HTML page that needs nothing beside it: no script, no network, plots as SVG.
std::string to_html(const Analysis& analysis);

}  // namespace covey::experiment
