#include "events/xapi.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include "base/hash.h"
#include "base/near.h"
#include "events/rows.h"

namespace covey::events {
// Named, not anonymous: the State below has members of these types.
namespace xapi {

namespace dom = simdjson::dom;

constexpr std::string_view kFormat = "xapi";
constexpr std::string_view kAny = "*";
constexpr std::string_view kVoided = "http://adlnet.gov/expapi/verbs/voided";
/// A parser that has grown beyond this is not kept.
constexpr std::size_t kParserKeepBytes = std::size_t{1} << 20;

// ---- The mapping's words

/// Where a text of the event comes from.
enum class Part : std::uint8_t {
  kGrouping,
  kParent,
  kCategory,
  kActivityType,
  kObjectId,
  kObjectName,
  kLiteral
};
constexpr std::array<std::string_view, 6> kParts = {"context.grouping", "context.parent",
                                                    "context.category", "activity_type",
                                                    "object.id",        "object.definition.name"};

enum class ActedOn : std::uint8_t { kTrue, kFalse, kSuccess, kCompletion };
constexpr std::array<std::string_view, 4> kActedOn = {"true", "false", "result.success",
                                                      "result.completion"};

constexpr std::array<std::string_view, 6> kEvents = {"practice", "feedback", "session",
                                                     "enrol",    "complete", "withdraw"};

enum Column : std::size_t { kVerb, kType, kEvent, kCapability, kDomain, kActed };
constexpr std::array<std::string_view, 6> kColumns = {"verb",       "activity_type", "event",
                                                      "capability", "domain",        "acted_on"};

struct Choice {
  Part part;
  std::string literal;  // kLiteral
};

struct Rule {
  std::uint64_t line = 0;
  std::string type;  // an IRI or kAny
  EventType event = EventType::kSession;
  std::vector<Choice> capability, domain;  // the first that the statement has
  std::string capability_cell, domain_cell;
  ActedOn acted_on = ActedOn::kFalse;
};

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return hash64(text); }
};
template <typename Value>
using ByName = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string_view without_bom(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

/// What a message may show of a foreign text.
std::string_view shown(std::string_view text) {
  return text.substr(0, 200);
}

/// A full IRI has a scheme; that much tells a mistyped word from an identifier.
bool is_iri(std::string_view text) {
  const std::size_t colon = text.find(':');
  return colon != std::string_view::npos && colon > 0 && colon + 1 < text.size() &&
         text.find_first_of(" \t\r\n") == std::string_view::npos;
}

// ---- The parts of a statement

/// Reads fields and keeps the first fault found, by path.
class Fields {
 public:
  std::string why;
  bool sound() const { return why.empty(); }

  void refuse(std::string reason) {
    if (why.empty()) why = std::move(reason);
  }

  std::optional<dom::object> object(const dom::object& in, const char* key, std::string_view path) {
    dom::element element;
    if (in[key].get(element) != simdjson::SUCCESS) return std::nullopt;
    dom::object value;
    if (element.get(value) != simdjson::SUCCESS) {
      refuse(fmt::format("{} must be an object", path));
      return std::nullopt;
    }
    return value;
  }

  std::optional<std::string_view> text(const dom::object& in, const char* key,
                                       std::string_view path) {
    dom::element element;
    if (in[key].get(element) != simdjson::SUCCESS) return std::nullopt;
    std::string_view value;
    if (element.get(value) != simdjson::SUCCESS || value.empty()) {
      refuse(fmt::format("{} must be a text that is not empty", path));
      return std::nullopt;
    }
    return value;
  }

  std::optional<double> number(const dom::object& in, const char* key, std::string_view path) {
    dom::element element;
    if (in[key].get(element) != simdjson::SUCCESS) return std::nullopt;
    double value = 0;
    if (element.get(value) != simdjson::SUCCESS) {  // integers are taken as well
      refuse(fmt::format("{} must be a number", path));
      return std::nullopt;
    }
    return value;
  }

  std::optional<bool> flag(const dom::object& in, const char* key, std::string_view path) {
    dom::element element;
    if (in[key].get(element) != simdjson::SUCCESS) return std::nullopt;
    bool value = false;
    if (element.get(value) != simdjson::SUCCESS) {
      refuse(fmt::format("{} must be true or false", path));
      return std::nullopt;
    }
    return value;
  }
};

/// A language map's text: American English, English, any English, else the first, so that the
/// reader's language never decides what a capability is called.
std::string_view from_language_map(const dom::object& map) {
  std::string_view first, english;
  for (const auto field : map) {
    std::string_view value;
    if (field.value.get(value) != simdjson::SUCCESS || value.empty()) continue;
    if (field.key == "en-US") return value;
    if (field.key == "en" || (english.empty() && field.key.starts_with("en-"))) english = value;
    if (first.empty()) first = value;
  }
  return english.empty() ? first : english;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return false;
    } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
      return false;
    }
  }
  return true;
}

void lower_hex(std::string& text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
}

/// Seconds of an ISO 8601:2004 duration, section 4.4.3.2; nothing when it is none.
///
/// A year counts 365 days and a month 30: a duration alone does not say which. Only the last number
/// may have a fraction, and weeks stand alone. Seconds without the T before them are taken, for an
/// example in the xAPI specification, 4.6, writes P16559.14S.
std::optional<double> duration_s(std::string_view text) {
  struct Unit {
    char letter;
    double seconds;
  };
  constexpr std::array<Unit, 4> kDate = {
      {{'Y', 365 * 86400.0}, {'M', 30 * 86400.0}, {'W', 7 * 86400.0}, {'D', 86400.0}}};
  constexpr std::array<Unit, 3> kTime = {{{'H', 3600.0}, {'M', 60.0}, {'S', 1.0}}};
  if (!text.starts_with('P')) return std::nullopt;
  text.remove_prefix(1);
  double sum = 0;
  bool in_time = false, fraction = false, weeks = false;
  std::size_t next = 0, parts = 0, time_parts = 0;
  while (!text.empty()) {
    if (text.front() == 'T') {
      if (in_time) return std::nullopt;
      in_time = true;
      next = 0;
      text.remove_prefix(1);
      continue;
    }
    const std::size_t size = std::min(text.find_first_not_of("0123456789.,"), text.size());
    if (size == 0 || size == text.size() || size > 32 || fraction || weeks) return std::nullopt;
    std::array<char, 32> digits;
    std::ranges::copy(text.substr(0, size), digits.begin());
    std::ranges::replace(digits.begin(), digits.begin() + size, ',', '.');
    fraction = std::find(digits.begin(), digits.begin() + size, '.') != digits.begin() + size;
    double value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + size, value, std::chars_format::fixed);
    if (error != std::errc() || end != digits.data() + size) return std::nullopt;
    const char letter = text[size];
    if (!in_time && letter == 'S') {
      in_time = true;
      next = 0;
    }
    const auto take_unit = [&](const auto& units) {
      for (; next < units.size(); ++next) {
        if (units[next].letter == letter) {
          sum += value * units[next++].seconds;
          return true;
        }
      }
      return false;
    };
    if (!(in_time ? take_unit(kTime) : take_unit(kDate))) return std::nullopt;
    if (letter == 'W') {
      if (parts > 0) return std::nullopt;
      weeks = true;
    }
    ++parts;
    if (in_time) ++time_parts;
    text.remove_prefix(size + 1);
  }
  if (parts == 0 || (in_time && time_parts == 0) || !std::isfinite(sum)) return std::nullopt;
  return sum;
}

/// The score as 0..1, nothing when the statement has none that can be told so.
std::optional<double> score_of(const dom::object& result, Fields& fields) {
  const auto score = fields.object(result, "score", "result.score");
  if (!score) return std::nullopt;
  if (const auto scaled = fields.number(*score, "scaled", "result.score.scaled")) {
    if (!(*scaled >= -1 && *scaled <= 1)) {
      fields.refuse(fmt::format("result.score.scaled {} is outside -1 to 1", *scaled));
      return std::nullopt;
    }
    return std::max(0.0, *scaled);
  }
  const auto raw = fields.number(*score, "raw", "result.score.raw");
  const auto least = fields.number(*score, "min", "result.score.min");
  const auto most = fields.number(*score, "max", "result.score.max");
  if (!raw || !most) return std::nullopt;
  const double from = least.value_or(0);
  if (!(from < *most) || !std::isfinite(*most - from)) {
    fields.refuse(fmt::format("result.score.max {} is not above min {}", *most, from));
    return std::nullopt;
  }
  if (!(*raw >= from && *raw <= *most)) {
    fields.refuse(
        fmt::format("result.score.raw {} is outside min {} to max {}", *raw, from, *most));
    return std::nullopt;
  }
  return (*raw - from) / (*most - from);
}

/// Who the statement is about. docs/xapi.md says why each identifier becomes the learner it does.
void read_learner(const dom::object& statement, Fields& fields, std::string& learner) {
  const auto actor = fields.object(statement, "actor", "actor");
  if (!actor) return fields.refuse("actor is missing");
  const auto type = fields.text(*actor, "objectType", "actor.objectType");
  dom::element member;
  if ((type && *type == "Group") ||
      (!type && (*actor)["member"].get(member) == simdjson::SUCCESS)) {
    return fields.refuse(
        "actor is a Group, and traits belong to single learners; send one statement per member");
  }
  if (type && *type != "Agent") {
    return fields.refuse(
        fmt::format("actor.objectType '{}' is neither Agent nor Group", shown(*type)));
  }
  const auto mbox = fields.text(*actor, "mbox", "actor.mbox");
  const auto sha1 = fields.text(*actor, "mbox_sha1sum", "actor.mbox_sha1sum");
  const auto openid = fields.text(*actor, "openid", "actor.openid");
  const auto account = fields.object(*actor, "account", "actor.account");
  if (!fields.sound()) return;
  const int identifiers =
      mbox.has_value() + sha1.has_value() + openid.has_value() + account.has_value();
  if (identifiers != 1) {
    return fields.refuse(fmt::format(
        "actor has {} identifiers where xAPI wants exactly one of mbox, mbox_sha1sum, openid and "
        "account",
        identifiers));
  }
  if (mbox) {
    constexpr std::string_view kMailto = "mailto:";
    if (!mbox->starts_with(kMailto) || mbox->find('@') == std::string_view::npos) {
      return fields.refuse("actor.mbox must be an address such as mailto:ada@example.org");
    }
    learner.assign(mbox->substr(kMailto.size()));
  } else if (sha1) {
    if (sha1->size() != 40 ||
        sha1->find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
      return fields.refuse("actor.mbox_sha1sum must be 40 hexadecimal digits");
    }
    learner.assign(*sha1);
    lower_hex(learner);
  } else if (openid) {
    if (!is_iri(*openid)) return fields.refuse("actor.openid must be a full URI");
    learner.assign(*openid);
  } else {
    const auto name = fields.text(*account, "name", "actor.account.name");
    const auto page = fields.text(*account, "homePage", "actor.account.homePage");
    if (!name) return fields.refuse("actor.account.name is missing");
    if (!page) return fields.refuse("actor.account.homePage is missing");
    const std::size_t scheme = page->find("://");
    if (scheme == 0 || scheme == std::string_view::npos || scheme + 3 == page->size()) {
      return fields.refuse(
          "actor.account.homePage must be a full address such as "
          "https://lms.example.org");
    }
    std::string_view home = page->substr(scheme + 3);
    while (home.size() > 1 && home.ends_with('/')) home.remove_suffix(1);
    learner.assign(*name).append("@").append(home);
  }
}

}  // namespace xapi

// ---- XapiMapping

struct XapiMapping::Table {
  std::string file;
  std::vector<xapi::Rule> rules;
  xapi::ByName<std::vector<std::uint32_t>> by_verb;  // rising indexes; kAny is a verb here

  /// The first rule for this verb and type, null when there is none. Walks only rules that name the
  /// verb, or any.
  const xapi::Rule* find(std::string_view verb, std::string_view type) const {
    const xapi::Rule* best = nullptr;
    for (const std::string_view key : {verb, xapi::kAny}) {
      const auto found = by_verb.find(key);
      if (found == by_verb.end()) continue;
      for (const std::uint32_t index : found->second) {
        const xapi::Rule& rule = rules[index];
        if (best != nullptr && best->line < rule.line) break;
        if (rule.type == xapi::kAny || rule.type == type) {
          best = &rule;
          break;
        }
      }
    }
    return best;
  }
};

Result<XapiMapping> XapiMapping::parse(std::string_view csv_text, std::string_view file_name) {
  auto table = std::make_shared<Table>();
  table->file = file_name;
  std::uint64_t line = 0, next_line = 1;
  const auto broken = [&](std::string_view what) {
    return fail(Errc::kRejected, fmt::format("{}, line {}: {}", file_name, line, what));
  };

  constexpr std::size_t kAbsent = xapi::kColumns.size();
  std::vector<std::string> cells;
  std::vector<std::size_t> meaning;   // of each cell; empty before the header
  xapi::ByName<std::uint64_t> taken;  // line of the rule for a verb and type

  // "a|b|=c" as choices; the fault in words when it is none.
  const auto choices = [](std::string_view cell, std::string_view column,
                          std::vector<xapi::Choice>& out) -> std::string {
    while (true) {
      const std::size_t bar = std::min(cell.find('|'), cell.size());
      const std::string_view word = xapi::trimmed(cell.substr(0, bar));
      if (word.starts_with('=')) {
        if (word.size() == 1) return fmt::format("{}: nothing after the =", column);
        if (bar != cell.size()) {
          return fmt::format("{}: '{}' is always there, so nothing after it counts", column,
                             xapi::shown(word));
        }
        if (auto f = text_fault(column, word.substr(1), kNameBytesMax); !f.empty()) return f;
        out.push_back({xapi::Part::kLiteral, std::string(word.substr(1))});
      } else {
        const auto known = std::ranges::find(xapi::kParts, word);
        if (known == xapi::kParts.end()) {
          return fmt::format("{}: '{}' is not a part of a statement{} (there are {}, or =literal)",
                             column, xapi::shown(word), did_you_mean(word, xapi::kParts),
                             fmt::join(xapi::kParts, ", "));
        }
        out.push_back({static_cast<xapi::Part>(known - xapi::kParts.begin()), {}});
      }
      if (bar == cell.size()) return {};
      cell.remove_prefix(bar + 1);
    }
  };

  std::string_view text = xapi::without_bom(csv_text);
  while (!text.empty()) {
    line = next_line;
    if (text.front() == '#') {
      const std::size_t end = text.find('\n');
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      ++next_line;
      continue;
    }
    bool sound = true;
    const std::size_t size = next_record(text, cells, sound);
    next_line += static_cast<std::uint64_t>(std::ranges::count(text.substr(0, size), '\n'));
    text.remove_prefix(size);
    if (!sound) return broken("a quote is not closed or stands inside a cell");
    if (std::ranges::all_of(cells, [](const auto& c) { return xapi::trimmed(c).empty(); })) {
      continue;
    }

    if (meaning.empty()) {
      for (const auto& cell : cells) {
        const std::string_view word = xapi::trimmed(cell);
        const auto known = std::ranges::find(xapi::kColumns, word);
        if (known == xapi::kColumns.end()) {
          return broken(fmt::format("'{}' is not a column{} (there are {})", xapi::shown(word),
                                    did_you_mean(word, xapi::kColumns),
                                    fmt::join(xapi::kColumns, ", ")));
        }
        const auto column = static_cast<std::size_t>(known - xapi::kColumns.begin());
        if (std::ranges::find(meaning, column) != meaning.end()) {
          return broken(fmt::format("column '{}' is there twice", word));
        }
        meaning.push_back(column);
      }
      for (const auto needed : {xapi::kVerb, xapi::kType, xapi::kEvent}) {
        if (std::ranges::find(meaning, needed) == meaning.end()) {
          return broken(fmt::format("no column '{}'", xapi::kColumns[needed]));
        }
      }
      continue;
    }
    if (cells.size() != meaning.size()) {
      return broken(fmt::format("{} cells where the header has {}", cells.size(), meaning.size()));
    }
    std::array<std::string_view, kAbsent> cell{};
    for (std::size_t i = 0; i < cells.size(); ++i) cell[meaning[i]] = xapi::trimmed(cells[i]);

    for (const auto column : {xapi::kVerb, xapi::kType}) {
      if (cell[column] != xapi::kAny && !xapi::is_iri(cell[column])) {
        return broken(fmt::format("{} '{}' is not a full IRI such as {}; write * for any",
                                  xapi::kColumns[column], xapi::shown(cell[column]),
                                  column == xapi::kVerb
                                      ? "http://adlnet.gov/expapi/verbs/answered"
                                      : "http://adlnet.gov/expapi/activities/course"));
      }
    }
    xapi::Rule rule;
    rule.line = line;
    rule.type = cell[xapi::kType];
    const std::string_view event = cell[xapi::kEvent];
    if (std::ranges::find(xapi::kEvents, event) == xapi::kEvents.end()) {
      if (event == "purchase" || event == "profile") {
        return broken(
            fmt::format("statements do not carry what a {} needs; send those as NDJSON", event));
      }
      return broken(fmt::format("'{}' is not an event{} (there are {})", xapi::shown(event),
                                did_you_mean(event, xapi::kEvents),
                                fmt::join(xapi::kEvents, ", ")));
    }
    rule.event = *event_type(event);

    rule.capability_cell = cell[xapi::kCapability];
    if (rule.event == EventType::kPractice) {
      if (rule.capability_cell.empty()) rule.capability_cell = "object.id";
      if (auto f = choices(rule.capability_cell, "capability", rule.capability); !f.empty()) {
        return broken(f);
      }
    } else if (!rule.capability_cell.empty()) {
      return broken(fmt::format("a {} has no capability; leave the cell empty", event));
    }

    rule.domain_cell = cell[xapi::kDomain];
    const bool domain_allowed =
        rule.event != EventType::kSession && rule.event != EventType::kFeedback;
    if (!rule.domain_cell.empty() && !domain_allowed) {
      return broken(fmt::format("a {} has no domain; leave the cell empty", event));
    }
    if (rule.domain_cell.empty() && rule.event == EventType::kPractice) {
      return broken("a practice needs a domain, such as context.grouping|=other");
    }
    if (!rule.domain_cell.empty()) {
      if (auto f = choices(rule.domain_cell, "domain", rule.domain); !f.empty()) return broken(f);
    }

    const std::string_view acted = cell[xapi::kActed];
    if (rule.event == EventType::kFeedback) {
      const auto known = std::ranges::find(xapi::kActedOn, acted);
      if (known == xapi::kActedOn.end()) {
        return broken(fmt::format("acted_on '{}' of a feedback must be one of {}{}",
                                  xapi::shown(acted), fmt::join(xapi::kActedOn, ", "),
                                  did_you_mean(acted, xapi::kActedOn)));
      }
      rule.acted_on = static_cast<xapi::ActedOn>(known - xapi::kActedOn.begin());
    } else if (!acted.empty()) {
      return broken(fmt::format("a {} has no acted_on; leave the cell empty", event));
    }

    const auto key = [](std::string_view verb, std::string_view type) {
      return fmt::format("{}\n{}", verb, type);
    };
    for (const auto& earlier :
         {key(cell[xapi::kVerb], cell[xapi::kType]), key(cell[xapi::kVerb], xapi::kAny),
          key(xapi::kAny, cell[xapi::kType]), key(xapi::kAny, xapi::kAny)}) {
      if (const auto known = taken.find(earlier); known != taken.end()) {
        return broken(
            fmt::format("this row is never reached, for line {} takes all it would match; "
                        "move it above that line or take it out",
                        known->second));
      }
    }
    taken.emplace(key(cell[xapi::kVerb], cell[xapi::kType]), line);
    table->by_verb[std::string(cell[xapi::kVerb])].push_back(
        static_cast<std::uint32_t>(table->rules.size()));
    table->rules.push_back(std::move(rule));
  }
  if (table->rules.empty()) {
    return fail(
        Errc::kRejected,
        fmt::format("{}: the table has no rows, so every statement would be rejected", file_name));
  }
  XapiMapping mapping;
  mapping.table_ = std::move(table);
  return mapping;
}

std::string_view XapiMapping::builtin_text() {
  return
#include "events/xapi_mapping.inc"
      ;
}

const XapiMapping& XapiMapping::builtin() {
  static const XapiMapping mapping = [] {
    auto parsed = parse(builtin_text(), "xapi-mapping.csv");
    COVEY_CHECK(parsed.has_value());
    return *std::move(parsed);
  }();
  return mapping;
}

// ---- Xapi

struct Xapi::State {
  std::shared_ptr<const XapiMapping::Table> table;
  simdjson::dom::parser parser;
  std::string learner, id;  // room reused from statement to statement

  void document(std::string_view text, const Source& source, Parsed& out);
  void lines(std::string_view text, const Source& source, Parsed& out);
  std::string add(const simdjson::dom::element& element, const Source& source, std::uint64_t place,
                  Parsed& out);
};

Xapi::Xapi(const XapiMapping& mapping) : state_(std::make_unique<State>()) {
  state_->table = mapping.table_;
}
Xapi::Xapi(Xapi&&) noexcept = default;
Xapi& Xapi::operator=(Xapi&&) noexcept = default;
Xapi::~Xapi() = default;

bool Xapi::newline_delimited(std::string_view text) {
  text = xapi::trimmed(xapi::without_bom(text));
  if (!text.starts_with('{')) return false;
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  const std::string_view first = xapi::trimmed(text.substr(0, end));
  // In a document laid out over lines, an opening brace follows only these.
  if (xapi::trimmed(text.substr(end)).starts_with('{') && first.size() > 1) {
    if (std::string_view("[,:").find(first.back()) == std::string_view::npos) return true;
  }
  if (!first.ends_with('}')) return false;
  simdjson::dom::parser parser;
  return parser.parse(first.data(), first.size()).error() == simdjson::SUCCESS;
}

void Xapi::parse(std::string_view text, const Source& source, Parsed& out) {
  if (source.first_line == 1) text = xapi::without_bom(text);
  const std::string_view content = xapi::trimmed(text);
  if (content.empty()) return;
  // The rest of a file that came one statement a line stays so, whatever its first line looks like.
  const bool several = content.find('\n') != std::string_view::npos;
  const bool neither = !content.starts_with('{') && !content.starts_with('[');
  if (several && (neither || newline_delimited(content))) {
    state_->lines(text, source, out);
  } else {
    state_->document(content, source, out);
  }
  if (text.size() > xapi::kParserKeepBytes) state_->parser = simdjson::dom::parser();
}

void Xapi::State::lines(std::string_view text, const Source& source, Parsed& out) {
  std::uint64_t line = source.first_line;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view row = xapi::trimmed(text.substr(at, end - at));
    at = end + 1;
    if (row.empty()) continue;
    simdjson::dom::element element;
    const auto error = parser.parse(row.data(), row.size()).get(element);
    std::string why = error != simdjson::SUCCESS
                          ? fmt::format("not JSON: {}", simdjson::error_message(error))
                          : add(element, source, line, out);
    if (!why.empty()) reject(out, source, line, std::move(why), row, xapi::kFormat);
  }
}

void Xapi::State::document(std::string_view text, const Source& source, Parsed& out) {
  simdjson::dom::element root;
  const auto error = parser.parse(text.data(), text.size()).get(root);
  if (error != simdjson::SUCCESS) {
    // One statement a line after all, its first line cut short? One bad line must not cost the
    // others. And a part of such a file may begin with anything.
    const std::size_t end = text.find('\n');
    if (end != std::string_view::npos) {
      const std::string_view rest = xapi::trimmed(text.substr(end));
      const std::string_view second = xapi::trimmed(rest.substr(0, rest.find('\n')));
      if (source.first_line > 1 || (second.starts_with('{') && second.ends_with('}'))) {
        return lines(text, source, out);
      }
    }
    return reject(
        out, source, source.first_line,
        fmt::format("not JSON: {}; nothing of it was taken in", simdjson::error_message(error)),
        text, xapi::kFormat);
  }
  std::uint64_t place = source.first_line;
  const auto one = [&](const simdjson::dom::element& element) {
    if (std::string why = add(element, source, place, out); !why.empty()) {
      reject(out, source, place, std::move(why), simdjson::minify(element), xapi::kFormat);
    }
    ++place;
  };
  simdjson::dom::array statements;
  if (root.get(statements) == simdjson::SUCCESS) {
    for (const auto element : statements) one(element);
    return;
  }
  simdjson::dom::object object;
  simdjson::dom::element verb;
  if (root.get(object) == simdjson::SUCCESS &&
      object["statements"].get(statements) == simdjson::SUCCESS &&
      object["verb"].get(verb) != simdjson::SUCCESS) {
    for (const auto element : statements) one(element);
    return;
  }
  one(root);
}

/// The statement as an event, or the reason why it is none.
std::string Xapi::State::add(const simdjson::dom::element& element, const Source& source,
                             std::uint64_t place, Parsed& out) {
  namespace dom = simdjson::dom;
  xapi::Fields fields;
  dom::object statement;
  if (element.get(statement) != simdjson::SUCCESS) return "a statement must be a JSON object";

  if (const auto given = fields.text(statement, "id", "id")) {
    if (!xapi::is_uuid(*given)) return fmt::format("id '{}' is not a UUID", xapi::shown(*given));
    id.assign(*given);
    xapi::lower_hex(id);
  } else {
    id.assign(source.name);
    fmt::format_to(std::back_inserter(id), ":{}", place);
  }
  xapi::read_learner(statement, fields, learner);
  if (!fields.sound()) return std::move(fields.why);

  const auto verb_object = fields.object(statement, "verb", "verb");
  if (!verb_object) return fields.sound() ? "verb is missing" : std::move(fields.why);
  const auto verb = fields.text(*verb_object, "id", "verb.id");
  if (!verb) return fields.sound() ? "verb.id is missing" : std::move(fields.why);
  if (!xapi::is_iri(*verb)) {
    return fmt::format("verb.id '{}' is not a full IRI", xapi::shown(*verb));
  }

  const auto object = fields.object(statement, "object", "object");
  if (!object) return fields.sound() ? "object is missing" : std::move(fields.why);
  const auto kind = fields.text(*object, "objectType", "object.objectType");
  const auto given_id = fields.text(*object, "id", "object.id");
  if (!fields.sound()) return std::move(fields.why);
  if (*verb == xapi::kVoided) {
    return fmt::format("this voids statement {}, and events taken in are not taken back",
                       xapi::shown(given_id.value_or("(object.id is missing)")));
  }
  const std::string_view object_kind = kind.value_or("Activity");
  std::string_view object_id, object_name, activity_type;
  if (object_kind == "Activity") {
    if (!given_id) return "object.id is missing";
    if (!xapi::is_iri(*given_id)) {
      return fmt::format("object.id '{}' is not a full IRI", xapi::shown(*given_id));
    }
    object_id = *given_id;
    if (const auto definition = fields.object(*object, "definition", "object.definition")) {
      activity_type = fields.text(*definition, "type", "object.definition.type").value_or("");
      if (const auto names = fields.object(*definition, "name", "object.definition.name")) {
        object_name = xapi::from_language_map(*names);
      }
    }
  } else if (object_kind == "StatementRef") {
    if (!given_id) return "object.id is missing";
  } else if (object_kind == "SubStatement") {
    return "object is a SubStatement, which says what may happen and not what has";
  } else if (object_kind != "Agent" && object_kind != "Group") {
    return fmt::format("object.objectType '{}' is not known to xAPI", xapi::shown(object_kind));
  }

  auto when = fields.text(statement, "timestamp", "timestamp");
  std::string_view clock = "timestamp";
  if (!when && fields.sound()) {
    clock = "stored";
    when = fields.text(statement, "stored", "stored");
  }
  if (!fields.sound()) return std::move(fields.why);
  if (!when) return "timestamp is missing, and there is no stored to take its place";
  const auto time = parse_time(*when);
  if (!time) return fmt::format("{}: {}", clock, time.error().message);

  const xapi::Rule* rule = table->find(*verb, activity_type);
  if (rule == nullptr) {
    return fmt::format(
        "no row of {0} maps verb '{1}' on {2}; add one (it begins {1},{3},) and "
        "replay",
        table->file, xapi::shown(*verb),
        activity_type.empty() ? "an object without activity type"
                              : fmt::format("activity type '{}'", xapi::shown(activity_type)),
        activity_type.empty() ? xapi::kAny : xapi::shown(activity_type));
  }

  Event event;
  event.id = id;
  event.learner = learner;
  event.time = *time;
  event.type = rule->event;

  const auto context = fields.object(statement, "context", "context");
  std::optional<dom::object> around;
  if (context) {
    around = fields.object(*context, "contextActivities", "context.contextActivities");
  }
  // xAPI 1.0 wants an array here, versions before it allowed a single activity.
  const auto first_of = [&](const char* key) -> std::string_view {
    dom::element list;
    if (!around || (*around)[key].get(list) != simdjson::SUCCESS) return {};
    dom::array activities;
    if (list.get(activities) == simdjson::SUCCESS) {
      if (activities.begin() == activities.end()) return {};
      list = *activities.begin();
    }
    const std::string path = fmt::format("context.contextActivities.{}", key);
    dom::object activity;
    if (list.get(activity) != simdjson::SUCCESS) {
      fields.refuse(fmt::format("{} must hold activities", path));
      return {};
    }
    return fields.text(activity, "id", path + ".id").value_or("");
  };
  const auto pick = [&](const std::vector<xapi::Choice>& choices) -> std::string_view {
    for (const auto& choice : choices) {
      std::string_view found;
      switch (choice.part) {
        case xapi::Part::kGrouping:
          found = first_of("grouping");
          break;
        case xapi::Part::kParent:
          found = first_of("parent");
          break;
        case xapi::Part::kCategory:
          found = first_of("category");
          break;
        case xapi::Part::kActivityType:
          found = activity_type;
          break;
        case xapi::Part::kObjectId:
          found = object_id;
          break;
        case xapi::Part::kObjectName:
          found = object_name;
          break;
        case xapi::Part::kLiteral:
          found = choice.literal;
          break;
      }
      if (!found.empty()) return found;
    }
    return {};
  };
  event.capability = pick(rule->capability);
  event.domain = pick(rule->domain);
  if (!fields.sound()) return std::move(fields.why);
  if (event.type == EventType::kPractice && (event.capability.empty() || event.domain.empty())) {
    const bool capability = event.capability.empty();
    return fmt::format(
        "practice needs a {0}, and the statement has no {1}; end that cell of {2}, "
        "line {3}, with |=other",
        capability ? "capability" : "domain",
        capability ? rule->capability_cell : rule->domain_cell, table->file, rule->line);
  }

  const auto result = fields.object(statement, "result", "result");
  std::optional<bool> success, completion;
  if (result) {
    event.score = xapi::score_of(*result, fields);
    success = fields.flag(*result, "success", "result.success");
    completion = fields.flag(*result, "completion", "result.completion");
    if (const auto took = fields.text(*result, "duration", "result.duration")) {
      event.duration_s = xapi::duration_s(*took);
      if (!event.duration_s) {
        fields.refuse(
            fmt::format("result.duration '{}' is not an ISO 8601 duration such as PT1M30S",
                        xapi::shown(*took)));
      }
    }
  }
  if (!fields.sound()) return std::move(fields.why);
  if (event.type == EventType::kFeedback) {
    switch (rule->acted_on) {
      case xapi::ActedOn::kTrue:
        event.acted_on = true;
        break;
      case xapi::ActedOn::kFalse:
        event.acted_on = false;
        break;
      case xapi::ActedOn::kSuccess:
        event.acted_on = success;
        break;
      case xapi::ActedOn::kCompletion:
        event.acted_on = completion;
        break;
    }
    if (!event.acted_on) {
      return fmt::format(
          "feedback takes acted_on from {} ({}, line {}), and the statement has none",
          xapi::kActedOn[static_cast<std::size_t>(rule->acted_on)], table->file, rule->line);
    }
  }

  if (std::string why = fault(event); !why.empty()) return why;
  if (std::string why = too_late(event.time, source); !why.empty()) return why;
  if (out.batch.full()) return "the batch is full; send fewer statements at a time";
  out.batch.add(event);
  return {};
}

}  // namespace covey::events
