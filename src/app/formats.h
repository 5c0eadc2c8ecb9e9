#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "events/codec.h"
#include "events/xapi.h"

namespace covey::app {

/// The xAPI table: the user's file, or the built-in one when `path` is empty.
Result<events::XapiMapping> load_xapi_mapping(const std::string& path);

/// The OULAD package's side tables, read from its folder.
struct OuladTables {
  std::string learners, assessments, courses;
};
Result<OuladTables> read_oulad_tables(const std::filesystem::path& folder);

}  // namespace covey::app
