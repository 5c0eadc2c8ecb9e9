#include "events/oulad.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/hash.h"
#include "base/near.h"
#include "events/rows.h"

namespace covey::events {
// Named, not anonymous: the State below has members of these types.
namespace oulad {

enum Column : std::size_t { kTs, kDay, kCourse, kLearner, kType, kObject, kActivity, kValue };
constexpr std::array<std::string_view, 8> kColumns = {"ts",   "day",    "course",   "learner",
                                                      "type", "object", "activity", "value"};
constexpr std::array<std::string_view, 5> kTypes = {"register", "click", "submit", "banked",
                                                    "withdraw"};
constexpr std::size_t kColumnsMax = 64;
constexpr std::string_view kFormat = "oulad";
constexpr std::string_view kLearnersTable = "learners.csv";
constexpr std::string_view kAssessmentsTable = "assessments.csv";
constexpr std::string_view kCoursesTable = "courses.csv";

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return std::nullopt;
  }
  return value;
}

/// What a message may show of a cell.
std::string_view shown(std::string_view cell) {
  return cell.substr(0, 64);
}

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return hash64(text); }
};
template <typename Value>
using ByName = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

std::string_view without_bom(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

/// "no column 'learner'; did you mean 'lerner'?", the other way round: what is there that was
/// meant to be `wanted`.
Result<std::size_t> find_column(const std::vector<std::string>& header, std::string_view wanted,
                                std::string_view file) {
  const auto found = std::ranges::find(header, wanted);
  if (found != header.end()) {
    if (std::find(found + 1, header.end(), wanted) != header.end()) {
      return fail(Errc::kRejected,
                  fmt::format("{}, line 1: column '{}' is there twice", file, wanted));
    }
    return static_cast<std::size_t>(found - header.begin());
  }
  const std::vector<std::string_view> names(header.begin(), header.end());
  const std::string_view near = near_match(wanted, names);
  return fail(Errc::kRejected,
              near.empty()
                  ? fmt::format("{}, line 1: no column '{}'; the header has {}", file, wanted,
                                shown(fmt::format("{}", fmt::join(names, ","))))
                  : fmt::format("{}, line 1: no column '{}'; rename '{}' if that is the one", file,
                                wanted, shown(near)));
}

/// A side table, read record by record.
class Table {
 public:
  Table(std::string_view text, std::string_view name) : text_(without_bom(text)), name_(name) {}

  Result<void> read_header() {
    if (!COVEY_TRY(advance())) return broken("the table is empty; it needs a header");
    header = cells;
    if (header.size() > kColumnsMax) {
      return broken(fmt::format("{} columns; at most {} are allowed", header.size(), kColumnsMax));
    }
    return {};
  }

  /// The next row that is not blank; false at the end.
  Result<bool> next() {
    while (COVEY_TRY(advance())) {
      if (cells.size() == 1 && cells[0].empty()) continue;
      if (cells.size() != header.size()) {
        return broken(fmt::format("{} cells where the header has {}", cells.size(), header.size()));
      }
      return true;
    }
    return false;
  }

  Result<std::size_t> column(std::string_view wanted) const {
    return find_column(header, wanted, name_);
  }

  std::unexpected<Error> broken(std::string_view what) const {
    return fail(Errc::kRejected, fmt::format("{}, line {}: {}", name_, line, what));
  }

  std::vector<std::string> header, cells;
  std::uint64_t line = 0;   // where the record begins
  std::string_view record;  // its bytes

 private:
  Result<bool> advance() {
    line = next_line_;
    bool sound = true;
    const std::size_t size = next_record(text_, cells, sound);
    if (size == 0) return false;
    record = text_.substr(0, size);
    text_.remove_prefix(size);
    next_line_ += static_cast<std::uint64_t>(std::ranges::count(record, '\n'));
    if (!sound) return broken("a quote is not closed or stands inside a cell");
    return true;
  }

  std::string_view text_, name_;
  std::uint64_t next_line_ = 1;
};

struct Person {
  std::uint64_t line = 0;
  std::uint32_t course = 0;  // into State::starts
  bool registered = false;
  std::size_t begin = 0, size = 0;  // of the record in State::learners_csv
};

}  // namespace oulad

struct Oulad::State {
  // The side tables. Attributes stay in the table's own text: a copy per learner would cost ten
  // times as much, and each is wanted once.
  std::string learners_csv;
  std::vector<std::string> learners_header;
  std::size_t course_column = 0, learner_column = 0;
  std::vector<oulad::Person> people;         // in the table's order
  oulad::ByName<std::uint32_t> person_of;    // by "course/learner"
  oulad::ByName<std::optional<double>> due;  // by "course/assessment"
  std::vector<Time> starts;
  std::string prefix;

  // The file begun.
  std::string header;
  std::size_t columns = 0;
  std::array<std::size_t, oulad::kColumns.size()> column{};

  // Room reused from row to row.
  std::array<std::string_view, oulad::kColumnsMax> cells;
  std::vector<std::string> quoted;
  std::string who, id, capability, ts;
  Time time{};
  std::vector<std::string> profile_cells;
  std::vector<Attribute> attributes;

  bool split(std::string_view line, std::string& why);
  bool read_time(std::string_view text, std::string& why);
  void read_attributes(const oulad::Person& person);
  std::string add_row(const Source& source, std::uint64_t line, Parsed& out);
};

Oulad::Oulad(std::unique_ptr<State> state) : state_(std::move(state)) {}
Oulad::Oulad(Oulad&&) noexcept = default;
Oulad& Oulad::operator=(Oulad&&) noexcept = default;
Oulad::~Oulad() = default;

Result<Oulad> Oulad::from_tables(std::string_view learners_csv, std::string_view assessments_csv,
                                 std::string_view courses_csv, std::string_view source_prefix) {
  auto state = std::make_unique<State>();
  State& s = *state;
  s.prefix = source_prefix;

  oulad::ByName<std::uint32_t> courses;
  {
    oulad::Table table(courses_csv, oulad::kCoursesTable);
    COVEY_TRY_VOID(table.read_header());
    const std::size_t course = COVEY_TRY(table.column("course"));
    const std::size_t start = COVEY_TRY(table.column("start"));
    while (COVEY_TRY(table.next())) {
      const auto time = parse_time(table.cells[start]);
      if (!time) return table.broken("start: " + time.error().message);
      if (!courses.emplace(table.cells[course], s.starts.size()).second) {
        return table.broken(fmt::format("course '{}' is there already; keep one of the two",
                                        oulad::shown(table.cells[course])));
      }
      s.starts.push_back(*time);
    }
  }
  {
    oulad::Table table(assessments_csv, oulad::kAssessmentsTable);
    COVEY_TRY_VOID(table.read_header());
    const std::size_t course = COVEY_TRY(table.column("course"));
    const std::size_t assessment = COVEY_TRY(table.column("assessment"));
    const std::size_t due = COVEY_TRY(table.column("due_day"));
    while (COVEY_TRY(table.next())) {
      std::optional<double> day;
      if (const auto& text = table.cells[due]; !text.empty()) {
        day = oulad::number<double>(text);
        if (!day) {
          return table.broken(
              fmt::format("due_day '{}' is not a number; leave it empty where there "
                          "is none",
                          oulad::shown(text)));
        }
      }
      if (!s.due.emplace(table.cells[course] + "/" + table.cells[assessment], day).second) {
        return table.broken(
            fmt::format("assessment '{}' of course '{}' is there already; keep one "
                        "of the two",
                        oulad::shown(table.cells[assessment]), oulad::shown(table.cells[course])));
      }
    }
  }
  {
    s.learners_csv = oulad::without_bom(learners_csv);
    oulad::Table table(s.learners_csv, oulad::kLearnersTable);
    COVEY_TRY_VOID(table.read_header());
    s.learners_header = table.header;
    s.course_column = COVEY_TRY(table.column("course"));
    s.learner_column = COVEY_TRY(table.column("learner"));
    while (COVEY_TRY(table.next())) {
      const std::string& course = table.cells[s.course_column];
      if (course.empty() || table.cells[s.learner_column].empty()) {
        return table.broken(course.empty() ? "course is empty" : "learner is empty");
      }
      const auto home = courses.find(course);
      if (home == courses.end()) {
        std::vector<std::string_view> names;
        for (const auto& entry : courses) names.push_back(entry.first);
        std::ranges::sort(names);
        return table.broken(fmt::format("course '{}' has no row in {}{}", oulad::shown(course),
                                        oulad::kCoursesTable, did_you_mean(course, names)));
      }
      s.who.assign(course).append("/").append(table.cells[s.learner_column]);
      if (const auto [known, fresh] = s.person_of.emplace(s.who, s.people.size()); !fresh) {
        return table.broken(
            fmt::format("learner '{}' stands in line {} already; keep one of the two",
                        oulad::shown(s.who), s.people[known->second].line));
      }
      const oulad::Person person{
          .line = table.line,
          .course = home->second,
          .begin = static_cast<std::size_t>(table.record.data() - s.learners_csv.data()),
          .size = table.record.size()};
      s.people.push_back(person);

      // Here, where the table can be mended, and not at the row that registers: that one is right.
      s.read_attributes(person);
      Event profile;
      profile.id = "x";
      profile.learner = s.who;
      profile.time = s.starts[person.course];
      profile.type = s.attributes.empty() ? EventType::kSession : EventType::kProfile;
      profile.attributes = s.attributes;
      if (const std::string wrong = fault(profile); !wrong.empty()) return table.broken(wrong);
    }
  }
  return Oulad(std::move(state));
}

/// The columns of learners.csv as attributes, in the table's order, empty ones left out.
void Oulad::State::read_attributes(const oulad::Person& person) {
  bool sound = true;
  next_record(std::string_view(learners_csv).substr(person.begin, person.size), profile_cells,
              sound);
  attributes.clear();
  for (std::size_t i = 0; i < profile_cells.size(); ++i) {
    if (i == course_column || i == learner_column || profile_cells[i].empty()) continue;
    attributes.emplace_back(learners_header[i], profile_cells[i]);
  }
}

Result<void> Oulad::begin_file(std::string_view file_name, std::string_view header_line) {
  State& s = *state_;
  header_line = oulad::without_bom(header_line);
  while (header_line.ends_with('\n') || header_line.ends_with('\r')) header_line.remove_suffix(1);
  std::vector<std::string> header;
  bool sound = true;
  next_record(header_line, header, sound);
  if (!sound) {
    return fail(
        Errc::kRejected,
        fmt::format("{}, line 1: a quote is not closed or stands inside a cell", file_name));
  }
  if (header.size() > oulad::kColumnsMax) {
    return fail(Errc::kRejected, fmt::format("{}, line 1: {} columns; at most {} are allowed",
                                             file_name, header.size(), oulad::kColumnsMax));
  }
  std::array<std::size_t, oulad::kColumns.size()> column{};
  for (std::size_t i = 0; i < column.size(); ++i) {
    column[i] = COVEY_TRY(oulad::find_column(header, oulad::kColumns[i], file_name));
  }
  s.column = column;
  s.columns = header.size();
  s.header = header_line;
  s.ts.clear();
  return {};
}

bool Oulad::State::split(std::string_view line, std::string& why) {
  std::size_t count = 0;
  if (line.find('"') == std::string_view::npos) {
    for (std::size_t at = 0;;) {
      const std::size_t end = std::min(line.find(',', at), line.size());
      if (count < columns) cells[count] = line.substr(at, end - at);
      ++count;
      if (end == line.size()) break;
      at = end + 1;
    }
  } else {
    bool sound = true;
    next_record(line, quoted, sound);
    if (!sound) {
      why = "a quote is not closed or stands inside a cell";
      return false;
    }
    count = quoted.size();
    for (std::size_t i = 0; i < std::min(count, columns); ++i) cells[i] = quoted[i];
  }
  if (count != columns) {
    why = fmt::format("{} cells where the header has {}", count, columns);
    return false;
  }
  return true;
}

bool Oulad::State::read_time(std::string_view text, std::string& why) {
  // Rows come sorted by day, so nearly every one has the time of the one before.
  if (!ts.empty() && text == ts) return true;
  const auto parsed = parse_time(text);
  if (!parsed) {
    why = "ts: " + parsed.error().message;
    return false;
  }
  time = *parsed;
  ts = text;
  return true;
}

void Oulad::parse(std::string_view text, const Source& source, Parsed& out) {
  State& s = *state_;
  COVEY_CHECK(s.columns > 0);  // begin_file() came first
  std::uint64_t line = source.first_line;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view row = text.substr(at, end - at);
    at = end + 1;
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty()) continue;
    std::string why;
    if (s.split(row, why)) why = s.add_row(source, line, out);
    if (why.empty()) continue;
    reject(out, source, line, std::move(why), row, oulad::kFormat);
    out.rejected.back().context = s.header;
  }
}

/// The row in `cells` as events, all or none; the reason when none.
std::string Oulad::State::add_row(const Source& source, std::uint64_t line, Parsed& out) {
  const auto cell = [this](oulad::Column c) { return cells[column[c]]; };
  const std::string_view course = cell(oulad::kCourse), type = cell(oulad::kType);
  const std::string_view object = cell(oulad::kObject), value = cell(oulad::kValue);
  std::string why;
  if (!read_time(cell(oulad::kTs), why)) return why;
  const auto day = oulad::number<std::int32_t>(cell(oulad::kDay));
  if (!day) {
    return fmt::format("day '{}' is not a whole number of days from the start",
                       oulad::shown(cell(oulad::kDay)));
  }
  if (course.empty()) return "course is missing";
  if (cell(oulad::kLearner).empty()) return "learner is missing";

  who.assign(course).append("/").append(cell(oulad::kLearner));
  id.assign(source.name).push_back(':');
  std::array<char, 20> digits;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), line);
  id.append(digits.data(), written.ptr);

  Event event, second;
  bool two = false;
  event.id = second.id = id;
  event.learner = second.learner = who;
  event.time = second.time = time;
  second.part = RowPart::kContinuation;

  if (type == "click") {
    if (object.empty()) return "click needs a site in object";
    if (cell(oulad::kActivity).empty()) return "click needs an activity";
    const auto clicks = oulad::number<std::uint32_t>(value);
    if (!clicks || *clicks == 0) {
      return fmt::format("value '{}' is not a number of clicks, 1 or more", oulad::shown(value));
    }
    event.type = EventType::kPractice;
    event.capability = object;
    event.domain = cell(oulad::kActivity);
    event.count = *clicks;
  } else if (type == "submit" || type == "banked") {
    if (object.empty()) return fmt::format("{} needs an assessment in object", type);
    if (!value.empty()) {
      const auto score = oulad::number<double>(value);
      if (!score || *score < 0 || *score > 100) {
        return fmt::format(
            "value '{}' is not a score from 0 to 100; leave it empty where there is "
            "none",
            oulad::shown(value));
      }
      event.score = *score / 100;
    }
    event.type = EventType::kPractice;
    capability.assign(course).append("/").append(object);
    const auto due_day = due.find(std::string_view(capability));
    second.type = EventType::kFeedback;
    second.acted_on = due_day == due.end() || !due_day->second || *day <= *due_day->second;
    two = true;
    capability.assign("assessment-").append(object);
    event.capability = capability;
    event.domain = "assessment";
  } else if (type == "register" || type == "withdraw") {
    event.type = type == "register" ? EventType::kEnrol : EventType::kWithdraw;
    event.domain = course;
  } else if (type.empty()) {
    return "type is missing";
  } else {
    return fmt::format("'{}' is not a type of row{}", oulad::shown(type),
                       did_you_mean(type, oulad::kTypes));
  }

  if (why = fault(event); !why.empty()) return why;
  if (why = too_late(event.time, source); !why.empty()) return why;
  if (out.batch.full() || out.batch.size() + 2 > Batch::kEventsMax) {
    return "the batch is full; send fewer rows at a time";
  }
  if (event.type == EventType::kEnrol) {
    if (const auto known = person_of.find(std::string_view(who)); known != person_of.end()) {
      oulad::Person& person = people[known->second];
      person.registered = true;
      read_attributes(person);
      second.type = EventType::kProfile;
      second.attributes = attributes;
      two = !attributes.empty();
    }
  }
  out.batch.add(event);
  if (two) out.batch.add(second);
  return {};
}

void Oulad::finish(Parsed& out) {
  State& s = *state_;
  for (oulad::Person& person : s.people) {
    if (person.registered) continue;
    s.read_attributes(person);
    if (s.attributes.empty()) continue;
    s.who.assign(s.profile_cells[s.course_column])
        .append("/")
        .append(s.profile_cells[s.learner_column]);
    s.id = fmt::format("{}{}:{}:{}", s.prefix, oulad::kLearnersTable, person.line, s.who);
    Event profile;
    profile.id = s.id;
    profile.learner = s.who;
    profile.time = s.starts[person.course];
    profile.type = EventType::kProfile;
    profile.part = RowPart::kBeside;
    profile.attributes = s.attributes;
    out.batch.add(profile);
  }
}

}  // namespace covey::events
