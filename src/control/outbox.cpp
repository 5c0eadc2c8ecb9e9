#include "control/outbox.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/whole.h"

namespace covey::control {
namespace {

using Json = nlohmann::ordered_json;
using plan::Severity;

constexpr std::string_view kPrefix = "outbox/";
constexpr std::array kSeverities = {Severity::kCritical, Severity::kHigh, Severity::kMedium,
                                    Severity::kLow};

// Padded, so that the order of keys is that of effects.
std::string key_of(std::string_view channel, std::uint64_t effect) {
  return fmt::format("{}{}/{:020}", kPrefix, channel, effect);
}

std::string encode(const rollout::Notify& what, Time at) {
  const Json json = {{"at", at.time_since_epoch().count()},
                     {"severity", what.severity ? plan::name(*what.severity) : ""},
                     {"title", what.title},
                     {"text", what.text},
                     {"people", what.people},
                     {"incident", what.incident},
                     {"resolved", what.resolved}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<void> decode(std::string_view key, std::string_view value, Note& out) {
  const auto damaged = [&] {
    return fail(Errc::kCorrupt, fmt::format("the message {} in the journal is damaged", key));
  };
  const Json json = Json::parse(value, nullptr, false);
  try {
    out.at = Time(Time::duration(whole<std::int64_t>(json.at("at"))));
    const std::string severity = json.at("severity");
    const auto known = std::ranges::find(kSeverities, severity,
                                         [](Severity s) { return std::string(plan::name(s)); });
    if (known != kSeverities.end()) out.what.severity = *known;
    if (known == kSeverities.end() && !severity.empty()) return damaged();
    out.what.title = json.at("title");
    out.what.text = json.at("text");
    out.what.people = json.at("people").get<std::vector<std::string>>();
    out.what.incident = whole<std::uint64_t>(json.at("incident"));
    out.what.resolved = json.at("resolved");
  } catch (const Json::exception&) {
    return damaged();
  }
  return {};
}

}  // namespace

Result<std::vector<Note>> Outbox::keep(const rollout::Notify& what, std::uint64_t effect, Time at) {
  std::vector<Note> out;
  Journal::Values puts;
  for (const std::string& channel : channels_) {
    puts.emplace_back(key_of(channel, effect), encode(what, at));
    out.push_back({channel, effect, at, what});
  }
  if (!puts.empty()) COVEY_TRY_VOID(journal_.change(puts));
  return out;
}

Result<void> Outbox::erase(const std::string& channel, std::uint64_t effect) {
  return journal_.change({}, {key_of(channel, effect)});
}

Result<std::vector<Note>> Outbox::waiting() {
  std::vector<Note> out;
  std::vector<std::string> strangers;
  for (const auto& [key, value] : COVEY_TRY(journal_.list(kPrefix))) {
    const std::size_t slash = key.rfind('/');
    Note note;
    const char* end = key.data() + key.size();
    const auto number = std::from_chars(key.data() + slash + 1, end, note.effect);
    note.channel = key.substr(kPrefix.size(), std::max(slash, kPrefix.size()) - kPrefix.size());
    if (number.ec != std::errc() || number.ptr != end ||
        !std::ranges::count(channels_, note.channel)) {
      strangers.push_back(key);
      continue;
    }
    COVEY_TRY_VOID(decode(key, value, note));
    out.push_back(std::move(note));
  }
  if (!strangers.empty()) COVEY_TRY_VOID(journal_.change({}, strangers));
  return out;
}

}  // namespace covey::control
