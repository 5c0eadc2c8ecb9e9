#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "events/codec.h"
#include "events/xapi.h"

namespace covey::app {

/// What covey import reads.
inline constexpr std::array<std::string_view, 4> kFormats = {"ndjson", "csv", "xapi", "oulad"};

/// One of kFormats by the name of a file (.ndjson, .jsonl, .csv, each also as .zst), or of a folder
/// that is an OULAD package. kRejected, with a way out, where a name does not tell;
/// kNotFound.
Result<std::string_view> format_of(const std::filesystem::path& path);

/// The xAPI table: the user's file, or the built-in one when `path` is empty.
Result<events::XapiMapping> load_xapi_mapping(const std::string& path);

/// The OULAD package's side tables, read from its folder.
struct OuladTables {
  std::string learners, assessments, courses;
};
Result<OuladTables> read_oulad_tables(const std::filesystem::path& folder);

}  // namespace covey::app
