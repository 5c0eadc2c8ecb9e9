#pragma once

#include <string>

#include "experiment/definition.h"

namespace covey::app {

/// Reads an experiment file. kRejected: it can't be read, or every fault in it.
Result<experiment::Experiment> read_experiment(const std::string& path);

}  // namespace covey::app
