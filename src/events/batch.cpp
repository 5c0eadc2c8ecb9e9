#include "events/batch.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <fmt/format.h>

namespace covey::events {
namespace {

constexpr std::uint64_t kTagMask = 0xffffffff00000000ULL;

// Tags of what an event may carry beside its columns; part of the stored format.
enum Extra : std::uint8_t {
  kScore = 1,
  kDuration = 2,
  kAmount = 3,    // number, then three letters
  kCount = 4,
  kAttribute = 5,  // two texts, each a 16-bit length and its bytes
  kActedOn = 6,    // on an event that is not kFeedback
};

constexpr std::uint8_t kActedOnBit = 0x40;
constexpr std::string_view kMagic = "CVB1";

template <typename T>
void put(std::string& out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename T>
bool take(std::string_view& in, T& value) {
  if (in.size() < sizeof value) return false;
  std::memcpy(&value, in.data(), sizeof value);
  in.remove_prefix(sizeof value);
  return true;
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint16_t>(text.size()));
  out.append(text);
}

bool take_text(std::string_view& in, std::string_view& text) {
  std::uint16_t size = 0;
  if (!take(in, size) || in.size() < size) return false;
  text = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

/// Reads the extras of one event. False: they are not what add() writes.
bool read_extras(std::string_view in, Event& event, std::vector<Attribute>& attributes) {
  while (!in.empty()) {
    std::uint8_t tag = 0;
    double number = 0;
    if (!take(in, tag)) return false;
    switch (tag) {
      case kScore:
        if (!take(in, number)) return false;
        event.score = number;
        break;
      case kDuration:
        if (!take(in, number)) return false;
        event.duration_s = number;
        break;
      case kAmount:
        if (!take(in, number)) return false;
        event.amount = number;
        if (!take_text(in, event.currency)) return false;
        break;
      case kCount: {
        std::uint32_t count = 0;
        if (!take(in, count)) return false;
        event.count = count;
        break;
      }
      case kAttribute: {
        std::string_view key, value;
        if (!take_text(in, key) || !take_text(in, value)) return false;
        attributes.emplace_back(key, value);
        break;
      }
      case kActedOn: {
        std::uint8_t acted = 0;
        if (!take(in, acted) || acted > 1) return false;
        event.acted_on = acted == 1;
        break;
      }
      default: return false;
    }
  }
  return true;
}

template <typename T>
void put_column(std::string& out, const std::vector<T>& column) {
  out.append(reinterpret_cast<const char*>(column.data()), column.size() * sizeof(T));
}

template <typename T>
bool take_column(std::string_view& in, std::vector<T>& column, std::size_t count) {
  if (in.size() / sizeof(T) < count) return false;
  column.resize(count);
  if (count > 0) std::memcpy(column.data(), in.data(), count * sizeof(T));
  in.remove_prefix(count * sizeof(T));
  return true;
}

/// Ends of consecutive strings: never falling, the last one the whole length.
bool sound_ends(const std::vector<std::uint32_t>& ends, std::size_t bytes) {
  if (ends.empty()) return bytes == 0;
  return std::ranges::is_sorted(ends) && ends.back() == bytes;
}

}  // namespace

// ---- Dictionary

std::uint32_t Dictionary::intern(std::string_view text) {
  if (std::size_t{size() + 1} * 4 > slots_.size() * 3) grow();
  const std::uint64_t hash = hash64(text);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    if (((slots_[slot] ^ hash) & kTagMask) != 0) continue;
    const auto index = static_cast<std::uint32_t>(slots_[slot]) - 1;
    if ((*this)[index] == text) return index;
  }
  const std::uint32_t index = size();
  bytes_.append(text);
  begin_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  slots_[slot] = (hash & kTagMask) | (index + 1);
  return index;
}

void Dictionary::grow() {
  slots_.assign(slots_.empty() ? 64 : slots_.size() * 2, 0);
  const std::size_t mask = slots_.size() - 1;
  for (std::uint32_t i = 0; i < size(); ++i) {
    const std::uint64_t hash = hash64((*this)[i]);
    std::size_t slot = hash & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = (hash & kTagMask) | (i + 1);
  }
}

void Dictionary::clear() {
  bytes_.clear();
  begin_.assign(1, 0);
  std::ranges::fill(slots_, 0);
}

// ---- Batch

void Batch::add(const Event& event) {
  if (empty()) {
    newest_ = oldest_ = event.time;
  } else {
    newest_ = std::max(newest_, event.time);
    oldest_ = std::min(oldest_, event.time);
  }
  learner_.push_back(learners_.intern(event.learner));
  capability_.push_back(event.type == EventType::kPractice ? capabilities_.intern(event.capability)
                                                           : kNone);
  domain_.push_back(event.domain.empty() ? kNone : domains_.intern(event.domain));
  time_.push_back(event.time.time_since_epoch().count());
  std::uint8_t kind = static_cast<std::uint8_t>(static_cast<std::uint8_t>(event.type) |
                                                static_cast<std::uint8_t>(event.part) << 4);
  if (event.type == EventType::kFeedback && event.acted_on.value_or(false)) kind |= kActedOnBit;
  kind_.push_back(kind);
  id_hash_.push_back(hash128(event.id));
  ids_.append(event.id);
  id_end_.push_back(static_cast<std::uint32_t>(ids_.size()));
  if (event.part == RowPart::kWhole) ++rows_;

  if (event.score) {
    put(extras_, kScore);
    put(extras_, *event.score);
  }
  if (event.duration_s) {
    put(extras_, kDuration);
    put(extras_, *event.duration_s);
  }
  if (event.amount) {
    put(extras_, kAmount);
    put(extras_, *event.amount);
    put_text(extras_, event.currency);
  }
  if (event.count) {
    put(extras_, kCount);
    put(extras_, *event.count);
  }
  if (event.acted_on && event.type != EventType::kFeedback) {
    put(extras_, kActedOn);
    put(extras_, static_cast<std::uint8_t>(*event.acted_on ? 1 : 0));
  }
  for (const auto& [key, value] : event.attributes) {
    put(extras_, kAttribute);
    put_text(extras_, key);
    put_text(extras_, value);
  }
  extra_end_.push_back(static_cast<std::uint32_t>(extras_.size()));
}

void Batch::clear() {
  learners_.clear();
  capabilities_.clear();
  domains_.clear();
  learner_.clear();
  capability_.clear();
  domain_.clear();
  time_.clear();
  kind_.clear();
  id_hash_.clear();
  ids_.clear();
  id_end_.clear();
  extras_.clear();
  extra_end_.clear();
  newest_ = oldest_ = Time();
  rows_ = 0;
}

std::size_t Batch::string_bytes() const {
  return learners_.bytes() + capabilities_.bytes() + domains_.bytes() + ids_.size() +
         extras_.size();
}

std::size_t Batch::memory_bytes() const {
  const auto dictionary = [](const Dictionary& d) {
    return d.bytes_.capacity() + d.begin_.capacity() * 4 + d.slots_.capacity() * 8;
  };
  return sizeof *this + dictionary(learners_) + dictionary(capabilities_) + dictionary(domains_) +
         (learner_.capacity() + capability_.capacity() + domain_.capacity() + id_end_.capacity() +
          extra_end_.capacity()) *
             4 +
         time_.capacity() * 8 + kind_.capacity() + id_hash_.capacity() * sizeof(Hash128) +
         ids_.capacity() + extras_.capacity();
}

std::string_view Batch::id(std::uint32_t row) const {
  const std::uint32_t begin = row == 0 ? 0 : id_end_[row - 1];
  return std::string_view(ids_).substr(begin, id_end_[row] - begin);
}

Event Batch::event(std::uint32_t row, std::vector<Attribute>& attributes) const {
  attributes.clear();
  Event event;
  event.id = id(row);
  event.learner = learners_[learner_[row]];
  event.time = Time(std::chrono::microseconds(time_[row]));
  event.type = type(row);
  event.part = part(row);
  if (capability_[row] != kNone) event.capability = capabilities_[capability_[row]];
  if (domain_[row] != kNone) event.domain = domains_[domain_[row]];
  if (event.type == EventType::kFeedback) event.acted_on = acted_on(row);
  const std::uint32_t begin = row == 0 ? 0 : extra_end_[row - 1];
  COVEY_CHECK(read_extras(std::string_view(extras_).substr(begin, extra_end_[row] - begin), event,
                          attributes));
  event.attributes = attributes;
  return event;
}

Batch Batch::select(std::span<const std::uint8_t> keep) const {
  COVEY_CHECK(keep.size() == size());
  Batch kept;
  std::vector<Attribute> attributes;
  for (std::uint32_t row = 0; row < size(); ++row) {
    if (keep[row] != 0) kept.add(event(row, attributes));
  }
  return kept;
}

// Layout: docs/batch_format.md.
std::string Batch::encode() const {
  std::string out;
  out.reserve(64 + string_bytes() + std::size_t{size()} * 29);
  out.append(kMagic);
  put<std::uint32_t>(out, 0);  // flags
  put<std::uint64_t>(out, 0);  // checksum, below
  put<std::uint32_t>(out, size());
  const auto dictionary = [&out](const Dictionary& d) {
    put<std::uint32_t>(out, d.size());
    put<std::uint32_t>(out, static_cast<std::uint32_t>(d.bytes_.size()));
    out.append(reinterpret_cast<const char*>(d.begin_.data() + 1), std::size_t{d.size()} * 4);
    out.append(d.bytes_);
  };
  dictionary(learners_);
  dictionary(capabilities_);
  dictionary(domains_);
  put_column(out, learner_);
  put_column(out, capability_);
  put_column(out, domain_);
  put_column(out, time_);
  put_column(out, kind_);
  put_column(out, id_end_);
  put_column(out, extra_end_);
  put<std::uint32_t>(out, static_cast<std::uint32_t>(ids_.size()));
  out.append(ids_);
  put<std::uint32_t>(out, static_cast<std::uint32_t>(extras_.size()));
  out.append(extras_);
  const std::uint64_t sum = hash64(std::string_view(out).substr(16));
  std::memcpy(out.data() + 8, &sum, sizeof sum);
  return out;
}

Result<Batch> Batch::decode(std::string_view bytes) {
  const auto damaged = [](std::string_view what) {
    return fail(Errc::kCorrupt, fmt::format("batch: {}", what));
  };
  std::string_view in = bytes;
  std::uint32_t flags = 0, events = 0;
  std::uint64_t sum = 0;
  if (!in.starts_with(kMagic)) return damaged("does not begin with CVB1");
  in.remove_prefix(kMagic.size());
  if (!take(in, flags) || !take(in, sum)) return damaged("cut off in the header");
  if (flags != 0) return damaged("written by a later version");
  if (hash64(in) != sum) return damaged("checksum does not match");
  if (!take(in, events) || events > kEventsMax) return damaged("bad number of events");

  Batch batch;
  const auto dictionary = [&in](Dictionary& d, std::size_t bytes_max) {
    std::uint32_t count = 0, size = 0;
    if (!take(in, count) || !take(in, size) || in.size() / 4 < count) return false;
    std::vector<std::uint32_t> ends;
    if (!take_column(in, ends, count) || in.size() < size || !sound_ends(ends, size)) return false;
    const std::string_view text = in.substr(0, size);
    in.remove_prefix(size);
    std::uint32_t begin = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string_view entry = text.substr(begin, ends[i] - begin);
      if (entry.empty() || !text_fault("", entry, bytes_max).empty()) return false;
      if (d.intern(entry) != i) return false;  // a string twice
      begin = ends[i];
    }
    return true;
  };
  if (!dictionary(batch.learners_, kLearnerBytesMax) ||
      !dictionary(batch.capabilities_, kNameBytesMax) ||
      !dictionary(batch.domains_, kNameBytesMax)) {
    return damaged("a dictionary is not sound");
  }
  std::uint32_t id_bytes = 0, extra_bytes = 0;
  if (!take_column(in, batch.learner_, events) || !take_column(in, batch.capability_, events) ||
      !take_column(in, batch.domain_, events) || !take_column(in, batch.time_, events) ||
      !take_column(in, batch.kind_, events) || !take_column(in, batch.id_end_, events) ||
      !take_column(in, batch.extra_end_, events) || !take(in, id_bytes) || in.size() < id_bytes) {
    return damaged("cut off in a column");
  }
  batch.ids_ = in.substr(0, id_bytes);
  in.remove_prefix(id_bytes);
  if (!take(in, extra_bytes) || in.size() != extra_bytes) return damaged("wrong length");
  batch.extras_ = in;
  if (!sound_ends(batch.id_end_, id_bytes) || !sound_ends(batch.extra_end_, extra_bytes)) {
    return damaged("string ends are out of order");
  }

  batch.id_hash_.reserve(events);
  std::vector<Attribute> attributes;
  for (std::uint32_t row = 0; row < events; ++row) {
    const std::uint8_t kind = batch.kind_[row];
    if ((kind & 0x0f) >= kEventTypes || ((kind >> 4) & 3) > 2 || (kind & 0x80) != 0) {
      return damaged(fmt::format("event {} is of no known kind", row));
    }
    const bool practice = batch.type(row) == EventType::kPractice;
    if (batch.learner_[row] >= batch.learners_.size() ||
        (practice ? batch.capability_[row] >= batch.capabilities_.size()
                  : batch.capability_[row] != kNone) ||
        (practice || batch.domain_[row] != kNone
             ? batch.domain_[row] >= batch.domains_.size()
             : false)) {
      return damaged(fmt::format("event {} names a string that is not there", row));
    }
    const Time time{std::chrono::microseconds(batch.time_[row])};
    if (time < earliest_time() || time >= latest_time() || batch.id(row).empty() ||
        batch.id(row).size() > kIdBytesMax) {
      return damaged(fmt::format("event {} has no proper time or id", row));
    }
    // Most events are checked by now; what else one carries is checked here, so that event() may
    // rely on it.
    const std::uint32_t begin = row == 0 ? 0 : batch.extra_end_[row - 1];
    if (begin != batch.extra_end_[row] || batch.type(row) == EventType::kProfile ||
        batch.type(row) == EventType::kPurchase) {
      attributes.clear();
      Event probe;
      if (!read_extras(
              std::string_view(batch.extras_).substr(begin, batch.extra_end_[row] - begin), probe,
              attributes)) {
        return damaged(fmt::format("event {} carries something unreadable", row));
      }
      if (const std::string broken = fault(batch.event(row, attributes)); !broken.empty()) {
        return damaged(fmt::format("event {}: {}", row, broken));
      }
    }
    batch.newest_ = row == 0 ? time : std::max(batch.newest_, time);
    batch.oldest_ = row == 0 ? time : std::min(batch.oldest_, time);
    batch.id_hash_.push_back(hash128(batch.id(row)));
    if (batch.part(row) == RowPart::kWhole) ++batch.rows_;
  }
  return batch;
}

}  // namespace covey::events
