#pragma once

#include <string>

#include "app/files.h"
#include "plan/plan.h"

namespace covey::app {

/// kNotFound: no such file. kRejected: what is wrong in it, all at once.
inline Result<plan::Plan> read_plan(const std::string& file) {
  return plan::parse_plan(file, COVEY_TRY(read_file(file)));
}

}  // namespace covey::app
