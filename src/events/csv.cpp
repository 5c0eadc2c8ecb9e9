#include "events/csv.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/near.h"
#include "events/field_names.h"
#include "events/rows.h"

namespace covey::events {
namespace {

enum Field : unsigned {
  kId,
  kLearner,
  kTime,
  kType,
  kCapability,
  kDomain,
  kActedOn,
  kScore,
  kDuration,
  kAmount,
  kCurrency,
  kCount,
  kFields,
  kAttribute = kFields
};
constexpr std::array<std::string_view, kFields> kNames = {
    "id",       "learner", "time",       "type",   "capability", "domain",
    "acted_on", "score",   "duration_s", "amount", "currency",   "count"};
constexpr std::array<std::string_view, kEventTypes> kTypeNames = {
    "practice", "feedback", "session", "profile", "enrol", "complete", "withdraw", "purchase"};
constexpr std::string_view kAttributePrefix = "attributes.";

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// What is wrong with the cell, or nothing after it was put into the event.
std::string set(Event& event, unsigned field, const std::string& cell) {
  const std::string_view name = kNames[field];
  switch (field) {
    case kId:
      event.id = cell;
      return {};
    case kLearner:
      event.learner = cell;
      return {};
    case kTime: {
      const auto time = parse_time(cell);
      if (!time) return "time: " + time.error().message;
      event.time = *time;
      return {};
    }
    case kType: {
      const auto type = event_type(cell);
      if (!type)
        return fmt::format("unknown type '{}'{}", shown(cell), did_you_mean(cell, kTypeNames));
      event.type = *type;
      return {};
    }
    case kCapability:
      event.capability = cell;
      return {};
    case kDomain:
      event.domain = cell;
      return {};
    case kActedOn:
      if (cell != "true" && cell != "false" && cell != "1" && cell != "0") {
        return fmt::format("acted_on '{}' must be true or false", shown(cell));
      }
      event.acted_on = cell == "true" || cell == "1";
      return {};
    case kCurrency:
      event.currency = cell;
      return {};
    case kCount: {
      std::uint32_t count = 0;
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), count);
      if (error != std::errc() || end != cell.data() + cell.size()) {
        return fmt::format("count '{}' must be a whole number from 0 to 4294967295", shown(cell));
      }
      event.count = count;
      return {};
    }
    default: {
      const auto value = number(cell);
      if (!value) return fmt::format("{} '{}' must be a number", name, shown(cell));
      (field == kScore      ? event.score
       : field == kDuration ? event.duration_s
                            : event.amount) = *value;
      return {};
    }
  }
}

}  // namespace

Result<Csv> Csv::from_header(std::string_view header_line) {
  while (!header_line.empty() && (header_line.back() == '\n' || header_line.back() == '\r')) {
    header_line.remove_suffix(1);
  }
  if (header_line.starts_with(kByteOrderMark)) header_line.remove_prefix(kByteOrderMark.size());
  Csv csv;
  csv.header_ = header_line;
  std::vector<std::string> names;
  bool sound = true;
  next_record(header_line, names, sound);
  if (!sound) return fail(Errc::kRejected, "the header has a quote that is not closed");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    if (std::ranges::count(names, name) > 1) {
      return fail(Errc::kRejected, fmt::format("column '{}' stands twice", shown(name)));
    }
    if (name.starts_with(kAttributePrefix) && name.size() > kAttributePrefix.size()) {
      csv.column_.push_back(kAttribute);
      csv.attribute_.push_back(name.substr(kAttributePrefix.size()));
      continue;
    }
    const auto found = std::ranges::find(kNames, name);
    if (found == kNames.end()) {
      for (const auto& [separator, word] : {std::pair{';', "semicolons"}, {'\t', "tabs"}}) {
        if (names.size() > 1 || name.find(separator) == std::string::npos) continue;
        return fail(Errc::kRejected,
                    fmt::format("columns are separated by {}; separate them by commas", word));
      }
      const std::string_view meant = field_meant(name, kNames);
      return fail(
          Errc::kRejected,
          fmt::format("unknown column '{}'{} Columns are {} and attributes.<key>", shown(name),
                      meant.empty() ? "." : did_you_mean(meant), fmt::join(kNames, ", ")));
    }
    csv.column_.push_back(static_cast<unsigned>(found - kNames.begin()));
    csv.attribute_.emplace_back();
  }
  for (const unsigned needed : {kLearner, kTime, kType}) {
    if (std::ranges::find(csv.column_, needed) == csv.column_.end()) {
      return fail(Errc::kRejected, fmt::format("there is no column '{}'", kNames[needed]));
    }
  }
  return csv;
}

void Csv::parse(std::string_view text, const Source& source, Parsed& out) {
  std::uint64_t line = source.first_line;
  while (!text.empty()) {
    bool sound = true;
    const std::size_t size = next_record(text, cells_, sound);
    std::string_view row = text.substr(0, size);
    const std::uint64_t here = line;
    line += static_cast<std::uint64_t>(std::ranges::count(row, '\n'));
    text.remove_prefix(size);
    while (!row.empty() && (row.back() == '\n' || row.back() == '\r')) row.remove_suffix(1);
    if (row.empty()) continue;
    std::string broken;
    Event event;
    attributes_.clear();
    bool typed = false, timed = false;
    if (!sound) {
      broken = "a quote is not closed, or stands inside a cell that does not begin with one";
    } else if (cells_.size() != column_.size()) {
      broken = fmt::format("{} cells where the header has {}", cells_.size(), column_.size());
    } else {
      for (std::size_t i = 0; i < cells_.size() && broken.empty(); ++i) {
        if (cells_[i].empty()) continue;
        if (column_[i] == kAttribute) {
          attributes_.emplace_back(attribute_[i], cells_[i]);
        } else {
          broken = set(event, column_[i], cells_[i]);
          typed = typed || column_[i] == kType;
          timed = timed || column_[i] == kTime;
        }
      }
      if (broken.empty() && !typed) broken = "type is missing";
      if (broken.empty() && !timed) broken = "time is missing";
    }
    if (!broken.empty()) {
      reject(out, source, here, std::move(broken), row, "csv");
    } else {
      if (event.id.empty()) {
        place_id(source, here, id_);
        event.id = id_;
      }
      event.attributes = attributes_;
      if (take(out, event, source, here, row, "csv")) continue;
    }
    out.rejected.back().context = header_;
  }
}

}  // namespace covey::events
