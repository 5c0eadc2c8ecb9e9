#pragma once

#include <string>

#include "control/books.h"

namespace covey::control {

/// What the rollout tells Prometheus, in its text format. Figures are of the sliding window.
std::string metrics(const Books& books);

}  // namespace covey::control
