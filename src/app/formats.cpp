#include "app/formats.h"

#include "app/files.h"

namespace covey::app {

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
