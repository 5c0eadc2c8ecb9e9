#pragma once

#include <cstdlib>

/// A property of what was decoded. abort(), not assert(): it must hold in every build.
inline void require(bool holds) {
  if (!holds) std::abort();
}
