#pragma once

#include <span>

#include "pages/pages.h"

namespace covey::pages {

/// Defined by what web/build.mjs writes.
extern const std::span<const Asset> kAssets;

}  // namespace covey::pages
