#include "events/field_names.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "base/near.h"

namespace covey::events {
namespace {

struct Elsewhere {
  std::string_view name, field;
};
/// In lower case without separators, as `userId`, `user_id` and `USER-ID` all become.
constexpr Elsewhere kElsewhere[] = {
    {"timestamp", "time"},
    {"datetime", "time"},
    {"createdat", "time"},
    {"occurredat", "time"},
    {"eventtime", "time"},
    {"date", "time"},
    {"user", "learner"},
    {"userid", "learner"},
    {"student", "learner"},
    {"studentid", "learner"},
    {"learnerid", "learner"},
    {"actor", "learner"},
    {"eventtype", "type"},
    {"event", "type"},
    {"eventname", "type"},
    {"verb", "type"},
    {"action", "type"},
    {"eventid", "id"},
    {"uuid", "id"},
    {"skill", "capability"},
    {"skillid", "capability"},
    {"capabilityid", "capability"},
    {"subject", "domain"},
    {"domainid", "domain"},
    {"duration", "duration_s"},
    {"seconds", "duration_s"},
    {"price", "amount"},
    {"revenue", "amount"},
    {"properties", "attributes"},
    {"props", "attributes"},
};

}  // namespace

std::string_view field_meant(std::string_view name, std::span<const std::string_view> known) {
  if (const std::string_view near = near_match(name, known); !near.empty()) return near;
  std::string plain;
  for (const char c : name) {
    if (c != '_' && c != '-' && c != ' ') {
      plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  std::string_view meant = plain;
  for (const Elsewhere& elsewhere : kElsewhere) {
    if (elsewhere.name == plain) meant = elsewhere.field;
  }
  const auto found = std::ranges::find(known, meant);
  return found != known.end() ? *found : std::string_view();
}

}  // namespace covey::events
