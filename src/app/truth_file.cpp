#include "app/truth_file.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "app/files.h"
#include "cohorts/kernels.h"

namespace covey::app {
namespace {

std::vector<std::string_view> cells(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> out;
  for (std::size_t at = 0;;) {
    const std::size_t end = std::min(line.find(',', at), line.size());
    out.push_back(line.substr(at, end - at));
    if (end == line.size()) return out;
    at = end + 1;
  }
}

}  // namespace

Result<TruthFile> read_truth(const std::string& path) {
  const std::string text = COVEY_TRY(read_file(path, std::size_t{1} << 30));
  const auto at = [&](std::size_t line, std::string what) {
    return fail(Errc::kRejected, fmt::format("{}:{}: {}", path, line, what));
  };
  TruthFile out;
  std::vector<std::string_view> names;
  std::size_t learner = 0, archetype = 0, columns = 0, number = 0;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    const auto row = cells(std::string_view(text).substr(from, end - from));
    from = end + 1;
    if (++number == 1) {
      const auto column = [&](std::string_view name) {
        return static_cast<std::size_t>(std::ranges::find(row, name) - row.begin());
      };
      learner = column("learner");
      archetype = column("archetype");
      columns = row.size();
      if (learner < columns && archetype < columns) continue;
      return at(1, "no columns learner and archetype; give the file of `covey simulate --truth`");
    }
    if (row.size() != columns) {
      return at(number, fmt::format("{} cells, the header has {}", row.size(), columns));
    }
    auto kind = static_cast<std::size_t>(std::ranges::find(names, row[archetype]) - names.begin());
    if (kind == names.size()) names.push_back(row[archetype]);
    if (names.size() > cohorts::kCenters) {
      return at(number, fmt::format("a {}th archetype; {} can be compared", names.size(),
                                    cohorts::kCenters));
    }
    if (!out.archetype.emplace(row[learner], static_cast<std::uint8_t>(kind)).second) {
      return at(number, fmt::format("{} stands there twice", row[learner]));
    }
  }
  if (out.archetype.empty()) {
    return fail(Errc::kRejected, fmt::format("{} holds no learners", path));
  }
  out.archetypes = names.size();
  return out;
}

}  // namespace covey::app
