#pragma once

#include <string>
#include <unordered_map>

#include "base/result.h"

namespace covey::app {

/// What `covey simulate --truth` wrote: each learner's archetype, as a number below `archetypes`.
struct TruthFile {
  std::unordered_map<std::string, std::uint8_t> archetype;
  std::size_t archetypes = 0;
};

/// A CSV file with the columns learner and archetype among others. kRejected with its place.
Result<TruthFile> read_truth(const std::string& path);

}  // namespace covey::app
