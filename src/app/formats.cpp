#include "app/formats.h"

#include <fmt/format.h>

#include <system_error>

#include "app/files.h"

namespace covey::app {

Result<std::string_view> format_of(const std::filesystem::path& path) {
  std::error_code none;
  if (std::filesystem::is_directory(path, none)) {
    if (std::filesystem::exists(path / "learners.csv", none)) return "oulad";
    return fail(Errc::kRejected,
                fmt::format("{} is a folder, and no OULAD package (which has learners.csv in it); "
                            "name the files in it",
                            path.string()));
  }
  if (path != "-" && !std::filesystem::exists(path, none)) {
    if (!none) none = std::make_error_code(std::errc::no_such_file_or_directory);
    return fail(Errc::kNotFound, fmt::format("{}: {}", path.string(), none.message()));
  }
  const std::filesystem::path plain = path.extension() == ".zst" ? path.stem() : path;
  const std::string ending = plain.extension().string();
  if (ending == ".ndjson" || ending == ".jsonl") return "ndjson";
  if (ending == ".csv") return "csv";
  return fail(Errc::kRejected, fmt::format("{} does not say by its name what it holds; add "
                                           "--format {}",
                                           path == "-" ? "standard input" : path.string(),
                                           fmt::join(kFormats, " or ")));
}

Result<events::XapiMapping> load_xapi_mapping(const std::string& path) {
  if (path.empty()) return events::XapiMapping::builtin();
  const std::string text = COVEY_TRY(read_file(path));
  return events::XapiMapping::parse(text, path);
}

Result<OuladTables> read_oulad_tables(const std::filesystem::path& folder) {
  OuladTables tables;
  tables.learners = COVEY_TRY(read_file(folder / "learners.csv"));
  tables.assessments = COVEY_TRY(read_file(folder / "assessments.csv"));
  tables.courses = COVEY_TRY(read_file(folder / "courses.csv"));
  return tables;
}

}  // namespace covey::app
