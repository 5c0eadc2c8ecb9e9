#include "control/journal.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <sodium.h>
#include <nlohmann/json.hpp>

#include "rollout/json.h"

namespace covey::control {
namespace {

using Json = nlohmann::ordered_json;

// First byte of a log record: what follows.
constexpr char kEntry = 'E';  ///< 32 bytes of chain, then the text
constexpr char kSlot = 'S';
constexpr std::string_view kPlanKey = "control/plan";
constexpr std::string_view kKeys = "control/key/";
constexpr std::uint64_t kMarkEvery = 256;

Digest digest(std::string_view a, std::string_view b = {}) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  const auto take = [&](std::string_view bytes) {
    crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(bytes.data()),
                              bytes.size());
  };
  take(a);
  take(b);
  Digest out;
  crypto_hash_sha256_final(&state, out.data());
  return out;
}

std::string_view view(const Digest& d) {
  return {reinterpret_cast<const char*>(d.data()), d.size()};
}

/// A tick that decided nothing.
bool silent(std::string_view text) {
  return text.find("\"kind\":\"tick\"") != text.npos && text.find("\"decisions\":") == text.npos;
}

log::Record record_of(std::string bytes) {
  log::Record out;
  out.encode = [bytes = std::move(bytes)](std::span<const std::uint8_t>) { return bytes; };
  return out;
}

}  // namespace

std::string hex(const Digest& d) {
  std::string out;
  for (const unsigned char byte : d) out += fmt::format("{:02x}", byte);
  return out;
}

std::string record_text(const rollout::Entry& entry, Time written) {
  Json effects = Json::array(), decisions = Json::array();
  for (const auto& effect : entry.effects) effects.push_back(rollout::to_json(effect));
  for (const auto& decision : entry.decisions) decisions.push_back(rollout::to_json(decision));
  std::string out = rollout::input_to_json(entry.input);
  // The input's own text stands unchanged at the front: replay reads the same bytes.
  out.pop_back();
  if (!effects.empty()) {
    out += ",\"effects\":" + effects.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  if (!decisions.empty()) {
    out += ",\"decisions\":" + decisions.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  out += fmt::format(",\"written\":{}}}", written.time_since_epoch().count());
  return out;
}

Result<std::unique_ptr<Journal>> Journal::open(log::Log& log, std::string_view plan_text,
                                               const telemetry::Shape& shape, const Clock& clock) {
  std::unique_ptr<Journal> out(new Journal(log, shape, clock));
  const std::string plan = hex(digest(plan_text));
  const auto known = COVEY_TRY(log.get(kPlanKey));
  if (known && *known != plan) {
    return fail(Errc::kRejected,
                "this journal belongs to another plan, or to the plan before it was changed: a "
                "rollout under way keeps its plan. Give the file it began with, or begin a new "
                "journal in another folder");
  }
  if (!known) {
    log::Record first;
    first.puts.emplace_back(kPlanKey, plan);
    COVEY_TRY(log.append({&first, 1}));
  }
  COVEY_TRY_VOID(out->follow());
  return out;
}

Result<void> Journal::follow() {
  Digest chain{};
  std::uint64_t count = 0;
  COVEY_TRY(log_.read({}, [&](log::Position position, std::string_view bytes) -> Result<void> {
    if (bytes.empty() || bytes.front() != kEntry) return {};
    ++count;
    if (bytes.size() < 1 + chain.size()) {
      return fail(Errc::kCorrupt, fmt::format("journal: record {} is too short", count));
    }
    const std::string_view text = bytes.substr(1 + chain.size());
    chain = digest(view(chain), text);
    if (view(chain) != bytes.substr(1, chain.size())) {
      return fail(
          Errc::kCorrupt,
          fmt::format("journal: the chain breaks at record {}: it, or what stood before it, "
                      "was changed after it was written. Restore the folder from a copy",
                      count));
    }
    note(count, position, text);
    return {};
  }));
  head_ = chain;
  count_ = count;
  return {};
}

void Journal::note(std::uint64_t number, log::Position position, std::string_view text) {
  const std::lock_guard lock(places_mutex_);
  if (number % kMarkEvery == 1) marks_.push_back({number, position});
  if (!silent(text)) loud_.push_back({number, position});
}

// Where the first record of the group lies.
Result<std::optional<log::Position>> Journal::append_slots(std::vector<log::Record> group) {
  for (std::string& slot : slots_) group.push_back(record_of(std::move(slot)));
  slots_.clear();
  if (group.empty()) return std::nullopt;
  return COVEY_TRY(log_.append(group)).front().position;
}

Result<void> Journal::append(const rollout::Entry& entry) {
  Record record;
  record.number = count_ + 1;
  record.text = record_text(entry, clock_.wall());
  const Digest chain = digest(view(head_), record.text);
  std::vector<log::Record> group;
  group.push_back(record_of(kEntry + std::string(view(chain)) + record.text));
  const auto position = COVEY_TRY(append_slots(std::move(group)));
  head_ = chain;
  ++count_;
  COVEY_CHECK(position.has_value());  // it has no ids, so it can't have been a duplicate
  note(record.number, *position, record.text);
  if (watcher_) {
    record.chain = hex(chain);
    watcher_(entry, record);
  }
  return {};
}

void Journal::keep(const telemetry::ClosedSlot& slot) {
  slots_.push_back(kSlot + telemetry::encode_slot(slot));
}

Result<void> Journal::replay(const std::function<void(const rollout::Input&)>& visit) const {
  COVEY_TRY(log_.read({}, [&](log::Position, std::string_view bytes) -> Result<void> {
    if (bytes.empty() || bytes.front() != kEntry) return {};
    visit(COVEY_TRY(rollout::input_from_json(bytes.substr(1 + Digest{}.size()))));
    return {};
  }));
  return {};
}

Result<void> Journal::slots(const std::function<void(telemetry::ClosedSlot)>& visit) const {
  COVEY_TRY(log_.read({}, [&](log::Position, std::string_view bytes) -> Result<void> {
    if (bytes.empty() || bytes.front() != kSlot) return {};
    visit(COVEY_TRY(telemetry::decode_slot(shape_, bytes.substr(1))));
    return {};
  }));
  return {};
}

// Visits record `number`, which lies at `from`, and those behind it.
Result<void> Journal::read(std::uint64_t number, log::Position from,
                           const std::function<bool(const Record&)>& visit) const {
  log::Cursor cursor;
  cursor.next.resize(from.origin + 1);
  cursor.next[from.origin] = from.sequence;
  --number;
  bool more = true;
  auto done = log_.read(cursor, [&](log::Position, std::string_view bytes) -> Result<void> {
    if (bytes.empty() || bytes.front() != kEntry) return {};
    Digest chain;
    std::memcpy(chain.data(), bytes.data() + 1, chain.size());
    more = visit({++number, hex(chain), std::string(bytes.substr(1 + chain.size()))});
    // The only way to stop a read early.
    if (!more) return fail(Errc::kNotFound, "enough");
    return {};
  });
  if (!done && more) return std::unexpected(done.error());
  return {};
}

Result<void> Journal::records(std::uint64_t after,
                              const std::function<bool(const Record&)>& visit) const {
  Place from{};
  {
    const std::lock_guard lock(places_mutex_);
    const auto next = std::ranges::upper_bound(marks_, after + 1, {}, &Place::number);
    if (next == marks_.begin()) return {};
    from = *(next - 1);
  }
  return read(from.number, from.position,
              [&](const Record& record) { return record.number <= after || visit(record); });
}

Result<void> Journal::loud_records(std::uint64_t after,
                                   const std::function<bool(const Record&)>& visit) const {
  for (bool more = true; more;) {
    Place place{};
    {
      const std::lock_guard lock(places_mutex_);
      const auto next = std::ranges::upper_bound(loud_, after, {}, &Place::number);
      if (next == loud_.end()) return {};
      place = *next;
    }
    after = place.number;
    COVEY_TRY_VOID(read(place.number, place.position, [&](const Record& record) {
      more = visit(record);
      return false;
    }));
  }
  return {};
}

Result<std::optional<std::string>> Journal::get(std::string_view key) const {
  return log_.get(std::string(kKeys) + std::string(key));
}

Result<void> Journal::put(std::string_view key, std::string value) {
  return change({{std::string(key), std::move(value)}});
}

Result<void> Journal::change(const Values& puts, const std::vector<std::string>& erases) {
  log::Record record;
  for (const auto& [key, value] : puts) record.puts.emplace_back(std::string(kKeys) + key, value);
  for (const std::string& key : erases) record.erases.push_back(std::string(kKeys) + key);
  COVEY_TRY(log_.append({&record, 1}));
  return {};
}

Result<Journal::Values> Journal::list(std::string_view prefix) const {
  Values out;
  COVEY_TRY_VOID(log_.scan(std::string(kKeys) + std::string(prefix), {},
                           [&](std::string_view key, std::string_view value) {
                             out.emplace_back(key.substr(kKeys.size()), value);
                             return true;
                           }));
  return out;
}

}  // namespace covey::control
