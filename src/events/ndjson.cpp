#include "events/ndjson.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/near.h"
#include "events/field_names.h"
#include "events/rows.h"

namespace covey::events {
namespace {

namespace ondemand = simdjson::ondemand;

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
  kAttributes,
  kFields
};
constexpr std::array<std::string_view, kFields> kNames = {
    "id",    "learner",    "time",   "type",     "capability", "domain",    "acted_on",
    "score", "duration_s", "amount", "currency", "count",      "attributes"};
constexpr std::array<std::string_view, kEventTypes> kTypeNames = {
    "practice", "feedback", "session", "profile", "enrol", "complete", "withdraw", "purchase"};

/// The one of `fields`, all as long as `name`, that it names. Lengths known beforehand make each
/// comparison a few instructions.
template <unsigned... fields>
unsigned among(std::string_view name) {
  unsigned found = kFields;
  ((__builtin_memcmp(kNames[fields].data(), name.data(), kNames[fields].size()) == 0
        ? found = fields
        : found),
   ...);
  return found;
}

/// By length first: each length has three names at most.
unsigned field_of(std::string_view name) {
  switch (name.size()) {
    case 2:
      return among<kId>(name);
    case 4:
      return among<kTime, kType>(name);
    case 5:
      return among<kScore, kCount>(name);
    case 6:
      return among<kDomain, kAmount>(name);
    case 7:
      return among<kLearner>(name);
    case 8:
      return among<kActedOn, kCurrency>(name);
    case 10:
      return among<kCapability, kDuration, kAttributes>(name);
    default:
      return kFields;
  }
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' ||
                           text.back() == '\n')) {
    text.remove_suffix(1);
  }
  return text;
}

bool integer(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.empty()) return false;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

}  // namespace

struct Ndjson::State {
  ondemand::parser parser;
  std::string padded;  // a line that ends too near the end of the text, and room behind it
  std::string id;
  std::vector<Attribute> attributes;

  std::string read(std::string_view line, std::size_t capacity, Event& event);
  std::string read_field(unsigned field, ondemand::value value, Event& event);
  std::string read_attributes(ondemand::value value);
};

namespace {

constexpr std::string_view kNameForm = "a string or a whole number";

std::string expected(std::string_view field, std::string_view what) {
  return fmt::format("{} must be {}", field, what);
}

/// A string. Without a backslash it is lent from the line itself, which needs no copy.
bool text_of(ondemand::value value, std::string_view& text) {
  const std::string_view token = trimmed(value.raw_json_token());
  if (token.size() >= 2 && token.front() == '"' && token.back() == '"' &&
      token.find('\\') == std::string_view::npos) {
    text = token.substr(1, token.size() - 2);
    ondemand::raw_json_string taken;
    return value.get_raw_json_string().get(taken) == simdjson::SUCCESS;
  }
  return value.get_string().get(text) == simdjson::SUCCESS;
}

/// The key as it stands between its quotes; empty if it is longer than any field's name or has an
/// escape. The bytes behind it are the rest of the line and its padding, so looking is safe.
std::string_view plain_key(ondemand::raw_json_string key) {
  constexpr std::size_t kLongest = 10;
  const char* const text = key.raw();
  for (std::size_t i = 0; i <= kLongest; ++i) {
    if (text[i] == '"') return {text, i};
    if (text[i] == '\\') break;
  }
  return {};
}

/// A string, or an integer taken as its text: people send numeric ids.
bool name_of(ondemand::value value, std::string_view& text) {
  const std::string_view token = trimmed(value.raw_json_token());
  if (token.starts_with('"')) return text_of(value, text);
  double check = 0;
  if (!integer(token) || value.get_double().get(check) != simdjson::SUCCESS) return false;
  text = token;
  return true;
}

}  // namespace

std::string Ndjson::State::read_attributes(ondemand::value value) {
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) {
    return expected("attributes", "an object of strings, numbers and booleans");
  }
  for (auto entry : object) {
    std::string_view key;
    ondemand::value item;
    ondemand::json_type type{};
    if (entry.unescaped_key().get(key) != simdjson::SUCCESS ||
        entry.value().get(item) != simdjson::SUCCESS ||
        item.type().get(type) != simdjson::SUCCESS) {
      return "not valid JSON in attributes";
    }
    std::string_view text;
    switch (type) {
      case ondemand::json_type::string:
        if (!text_of(item, text)) return "not valid JSON in attributes";
        break;
      case ondemand::json_type::number: {
        text = trimmed(item.raw_json_token());
        double check = 0;
        if (item.get_double().get(check) != simdjson::SUCCESS) {
          return fmt::format("attribute '{}' is not a number", shown(key));
        }
        break;
      }
      case ondemand::json_type::boolean: {
        bool flag = false;
        if (item.get_bool().get(flag) != simdjson::SUCCESS) return "not valid JSON in attributes";
        text = flag ? "true" : "false";
        break;
      }
      case ondemand::json_type::null: {
        bool is_null = false;
        if (item.is_null().get(is_null) != simdjson::SUCCESS || !is_null) {
          return "not valid JSON in attributes";
        }
        continue;
      }
      default:
        return fmt::format("attribute '{}' must be a string, a number or a boolean", shown(key));
    }
    for (const auto& [other, ignored] : attributes) {
      if (other == key) return fmt::format("attribute '{}' stands twice", shown(key));
    }
    if (attributes.size() == kAttributesMax) {
      return fmt::format("more than {} attributes", kAttributesMax);
    }
    attributes.emplace_back(key, text);
  }
  return {};
}

std::string Ndjson::State::read_field(unsigned field, ondemand::value value, Event& event) {
  const std::string_view name = kNames[field];
  std::string_view text;
  double number = 0;
  switch (field) {
    case kId:
      if (!name_of(value, event.id)) return expected(name, kNameForm);
      if (event.id.empty()) return "id is empty; leave the field out or fill it";
      return {};
    case kLearner:
      return name_of(value, event.learner) ? std::string() : expected(name, kNameForm);
    case kTime: {
      if (!text_of(value, text)) {
        return expected(name, "a string such as \"2014-02-01T12:00:00Z\"");
      }
      const auto time = parse_time(text);
      if (!time) return "time: " + time.error().message;
      event.time = *time;
      return {};
    }
    case kType: {
      if (!text_of(value, text)) return expected(name, "a string");
      const auto type = event_type(text);
      if (!type)
        return fmt::format("unknown type '{}'{}", shown(text), did_you_mean(text, kTypeNames));
      event.type = *type;
      return {};
    }
    case kCapability:
      return name_of(value, event.capability) ? std::string() : expected(name, kNameForm);
    case kDomain:
      return name_of(value, event.domain) ? std::string() : expected(name, kNameForm);
    case kActedOn: {
      bool flag = false;
      if (value.get_bool().get(flag) != simdjson::SUCCESS) return expected(name, "true or false");
      event.acted_on = flag;
      return {};
    }
    case kScore:
    case kDuration:
    case kAmount:
      if (value.get_double().get(number) != simdjson::SUCCESS) return expected(name, "a number");
      (field == kScore      ? event.score
       : field == kDuration ? event.duration_s
                            : event.amount) = number;
      return {};
    case kCurrency:
      return text_of(value, event.currency) ? std::string()
                                            : expected(name, "an ISO 4217 code such as \"EUR\"");
    case kCount: {
      std::uint64_t count = 0;
      if (value.get_uint64().get(count) != simdjson::SUCCESS ||
          count > std::numeric_limits<std::uint32_t>::max()) {
        return expected(name, "a whole number from 0 to 4294967295");
      }
      event.count = static_cast<std::uint32_t>(count);
      return {};
    }
    default:
      return read_attributes(value);
  }
}

std::string Ndjson::State::read(std::string_view line, std::size_t capacity, Event& event) {
  const auto broken = [](simdjson::error_code error) {
    return fmt::format("not valid JSON: {}", simdjson::error_message(error));
  };
  ondemand::document document;
  if (const auto error =
          parser.iterate(simdjson::padded_string_view(line, capacity)).get(document)) {
    return broken(error);
  }
  ondemand::object object;
  if (document.get_object().get(object) != simdjson::SUCCESS) {
    const std::size_t begin = line.find_first_not_of(" \t");
    const char first = begin == std::string_view::npos ? ' ' : line[begin];
    if (first == '[') return "an array, not a JSON object; `jq -c '.[]'` writes one event a line";
    if (first == '{' && !trimmed(line).ends_with('}')) {
      return "not valid JSON: the line is cut off, for its { has no }";
    }
    return "not a JSON object; each line is one event as {...}";
  }
  unsigned seen = 0, absent = 0;
  attributes.clear();
  for (auto entry : object) {
    ondemand::raw_json_string key;
    ondemand::value value;
    if (const auto error = entry.key().get(key)) return broken(error);
    std::string_view name = plain_key(key);
    unsigned field = field_of(name);
    if (field == kFields) {
      // Escaped, or not ours.
      if (const auto error = entry.unescaped_key().get(name)) return broken(error);
      field = field_of(name);
    }
    if (const auto error = entry.value().get(value)) return broken(error);
    if (field == kFields) {
      const std::string_view meant = field_meant(name, kNames);
      return fmt::format("unknown field '{}'{}", shown(name),
                         meant.empty() ? std::string() : did_you_mean(meant));
    }
    if ((seen & (1u << field)) != 0) return fmt::format("field '{}' stands twice", name);
    seen |= 1u << field;
    if (value.raw_json_token().starts_with('n')) {
      bool is_null = false;
      if (const auto error = value.is_null().get(is_null)) return broken(error);
      if (!is_null) return broken(simdjson::N_ATOM_ERROR);
      absent |= 1u << field;  // null is as good as absent
      continue;
    }
    if (std::string fault = read_field(field, value, event); !fault.empty()) return fault;
  }
  const char* rest = nullptr;
  if (document.current_location().get(rest) == simdjson::SUCCESS) {
    return "not valid JSON: text after the object";
  }
  for (const unsigned needed : {kLearner, kTime, kType}) {
    if (((seen & ~absent) & (1u << needed)) == 0)
      return fmt::format("{} is missing", kNames[needed]);
  }
  event.attributes = attributes;
  return {};
}

Ndjson::Ndjson() : state_(std::make_unique<State>()) {}
Ndjson::Ndjson(Ndjson&&) noexcept = default;
Ndjson& Ndjson::operator=(Ndjson&&) noexcept = default;
Ndjson::~Ndjson() = default;

void Ndjson::parse(std::string_view text, const Source& source, Parsed& out) {
  State& s = *state_;
  // As platforms send them: a row of 130 to 200 bytes, a tenth of it the id.
  if (out.batch.empty()) out.batch.reserve(text.size() / 128 + 1, text.size() / 8);
  std::uint64_t line = source.first_line;
  if (line == 1 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view row = trimmed(text.substr(at, end - at));
    std::size_t readable = text.size() - at;
    at = end + 1;
    if (row.find_first_not_of(" \t") == std::string_view::npos) continue;
    // simdjson looks at some bytes past the end. Behind all but the last lines is more text.
    if (readable - row.size() < simdjson::SIMDJSON_PADDING) {
      s.padded.assign(row);
      s.padded.append(simdjson::SIMDJSON_PADDING, ' ');
      readable = s.padded.size();
      row = std::string_view(s.padded).substr(0, row.size());
    }
    Event event;
    std::string broken = s.read(row, readable, event);
    if (!broken.empty()) {
      reject(out, source, line, std::move(broken), row, "ndjson");
      continue;
    }
    if (event.id.empty()) {
      place_id(source, line, s.id);
      event.id = s.id;
    }
    take(out, event, source, line, row, "ndjson");
  }
}

}  // namespace covey::events
