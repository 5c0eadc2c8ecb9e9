#include "app/observe.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "app/files.h"
#include "app/formats.h"
#include "events/csv.h"
#include "events/ndjson.h"
#include "events/oulad.h"
#include "events/rows.h"

namespace covey::app {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kChunk = std::size_t{4} << 20;

Result<void> see(const events::Parsed& parsed, population::Observer& observer) {
  if (!parsed.rejected.empty()) {
    const auto& first = parsed.rejected.front();
    return fail(Errc::kRejected, fmt::format("{}:{}: {}; mend or remove the row", first.source,
                                             first.line, first.reason));
  }
  std::vector<events::Attribute> attributes;
  for (std::uint32_t row = 0; row < parsed.batch.size(); ++row) {
    observer.add(parsed.batch.event(row, attributes));
  }
  return {};
}

/// Hands the file to `parse` in pieces of whole rows, after its first line where `header` asks for
/// that.
template <typename Header, typename Whole, typename Parse>
Result<void> each_piece(const fs::path& path, Header header, Whole whole, Parse parse) {
  FileReader reader = COVEY_TRY(FileReader::open(path));
  std::string rest;
  events::Source source;
  source.name = path.string();
  source.latest = latest_time();
  bool begun = false;
  for (bool more = true; more;) {
    more = COVEY_TRY(reader.read(rest, kChunk));
    if (!begun) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      if (end == rest.size() && more) continue;
      if (COVEY_TRY(header(std::string_view(rest).substr(0, end)))) {
        rest.erase(0, std::min(end + 1, rest.size()));
        source.first_line = 2;
      }
      begun = true;
    }
    const std::size_t size = more ? whole(std::string_view(rest)) : rest.size();
    const std::string_view piece = std::string_view(rest).substr(0, size);
    COVEY_TRY_VOID(parse(piece, source));
    source.first_line += static_cast<std::uint64_t>(std::ranges::count(piece, '\n'));
    rest.erase(0, size);
  }
  return {};
}

Result<void> observe_oulad(const fs::path& folder, population::Observer& observer) {
  const OuladTables tables = COVEY_TRY(read_oulad_tables(folder));
  auto codec =
      COVEY_TRY(events::Oulad::from_tables(tables.learners, tables.assessments, tables.courses));
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("events_") && (name.ends_with(".csv") || name.ends_with(".csv.zst"))) {
      files.push_back(entry.path());
    }
  }
  if (files.empty()) {
    return fail(Errc::kNotFound,
                fmt::format("{} has no events_*.csv or events_*.csv.zst", folder.string()));
  }
  std::ranges::sort(files);
  for (const fs::path& path : files) {
    COVEY_TRY_VOID(each_piece(
        path,
        [&](std::string_view header) -> Result<bool> {
          COVEY_TRY_VOID(codec.begin_file(path.filename().string(), header));
          return true;
        },
        events::whole_lines,
        [&](std::string_view piece, const events::Source& source) {
          events::Parsed parsed;
          codec.parse(piece, source, parsed);
          return see(parsed, observer);
        }));
  }
  events::Parsed profiles;
  codec.finish(profiles);
  return see(profiles, observer);
}

Result<void> observe_csv(const fs::path& path, population::Observer& observer) {
  std::optional<events::Csv> codec;
  return each_piece(
      path,
      [&](std::string_view header) -> Result<bool> {
        auto opened = events::Csv::from_header(header);
        if (!opened) {
          return fail(opened.error().code,
                      fmt::format("{}:1: {}", path.string(), opened.error().message));
        }
        codec.emplace(std::move(*opened));
        return true;
      },
      events::whole_records,
      [&](std::string_view piece, const events::Source& source) {
        events::Parsed parsed;
        codec->parse(piece, source, parsed);
        return see(parsed, observer);
      });
}

Result<void> observe_ndjson(const fs::path& path, population::Observer& observer) {
  events::Ndjson codec;
  return each_piece(
      path, [](std::string_view) -> Result<bool> { return false; }, events::whole_lines,
      [&](std::string_view piece, const events::Source& source) {
        events::Parsed parsed;
        codec.parse(piece, source, parsed);
        return see(parsed, observer);
      });
}

}  // namespace

Result<void> observe(const std::vector<std::string>& paths, population::Observer& observer) {
  for (const std::string& path : paths) {
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      COVEY_TRY_VOID(observe_oulad(path, observer));
    } else if (path.ends_with(".csv") || path.ends_with(".csv.zst")) {
      COVEY_TRY_VOID(observe_csv(path, observer));
    } else {
      COVEY_TRY_VOID(observe_ndjson(path, observer));
    }
  }
  return {};
}

}  // namespace covey::app
