#include "learners/traits.h"

namespace covey::learners {

std::string_view name(LearnerState state) {
  switch (state) {
    case LearnerState::kDormant:
      return "dormant";
    case LearnerState::kNew:
      return "new";
    case LearnerState::kActive:
      return "active";
  }
  return "unknown";
}

}  // namespace covey::learners
