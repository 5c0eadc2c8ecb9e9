#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include "plan/plan.h"

namespace covey::plan {

inline std::string platform_yaml() {
  std::ifstream in(COVEY_SOURCE_DIR "/plans/learner-platform.yaml");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The whole calendar: what everyone copies is what is tested.
inline Plan platform_plan() {
  return parse_plan("learner-platform.yaml", platform_yaml()).value();
}

/// `text` with the first `from` replaced; fails loudly where there is none.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  COVEY_CHECK(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace covey::plan
