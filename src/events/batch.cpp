#include "events/batch.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace covey::events {
namespace {

static_assert(std::endian::native == std::endian::little, "the stored format is little-endian");

// Tags of what an event may carry beside its columns; part of the stored format.
enum Extra : std::uint8_t {
  kScore = 1,
  kDuration = 2,
  kAmount = 3,  // number, then a text: the currency
  kCount = 4,
  kAttribute = 5,   // two texts
  kActedOn = 6,     // on an event that is not kFeedback
  kCapability = 7,  // on an event that is not kPractice
};

constexpr std::uint8_t kActedOnBit = 0x40;
constexpr std::string_view kMagic = "CVBT";
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kChecksumAt = 8;
constexpr std::size_t kBodyAt = 16;

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

bool take_bytes(std::string_view& in, std::size_t count, std::string_view& bytes) {
  if (in.size() < count) return false;
  bytes = in.substr(0, count);
  in.remove_prefix(count);
  return true;
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint16_t>(text.size()));
  out.append(text);
}

bool take_text(std::string_view& in, std::string_view& text) {
  std::uint16_t size = 0;
  return take(in, size) && take_bytes(in, size, text);
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
      case kCapability:
        if (!take_text(in, event.capability)) return false;
        break;
      default:
        return false;
    }
  }
  return true;
}

/// Writes `count` numbers in as few bytes each as the largest one needs: the width, then the
/// numbers. Dictionary indices and lengths are small, and every byte here is synced to disk.
template <typename ValueAt>
void put_packed(std::string& out, std::size_t count, const ValueAt& value_at) {
  std::uint64_t all_bits = 0;
  for (std::size_t i = 0; i < count; ++i) all_bits |= value_at(i);
  const std::size_t width = (static_cast<std::size_t>(std::bit_width(all_bits)) + 7) / 8;
  put(out, static_cast<std::uint8_t>(width));
  // Eight bytes are stored whatever the width; the next number overwrites what was too much.
  const std::size_t begin = out.size();
  out.resize(begin + count * width + sizeof(std::uint64_t));
  char* at = out.data() + begin;
  for (std::size_t i = 0; i < count; ++i, at += width) {
    const std::uint64_t value = value_at(i);
    std::memcpy(at, &value, sizeof value);
  }
  out.resize(begin + count * width);
}

/// Reads them back; `give(i, value)` for each, false from it or from here stops.
template <typename Give>
bool take_packed(std::string_view& in, std::size_t count, const Give& give) {
  std::uint8_t width = 0;
  std::string_view bytes;
  if (!take(in, width) || width > 8 || !take_bytes(in, count * width, bytes)) return false;
  const std::uint64_t mask = width == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * width) - 1;
  const char* at = bytes.data();
  // `in` goes on behind `bytes`, so all but the last few can be loaded eight bytes at once.
  const char* const end = in.data() + in.size();
  for (std::size_t i = 0; i < count; ++i, at += width) {
    std::uint64_t value = 0;
    if (end - at >= 8) {
      std::memcpy(&value, at, sizeof value);
      value &= mask;
    } else {
      std::memcpy(&value, at, width);
    }
    if (!give(i, value)) return false;
  }
  return true;
}

std::size_t shared_prefix(std::string_view a, std::string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  std::size_t at = 0;
  for (; at + 8 <= most; at += 8) {
    std::uint64_t x = 0, y = 0;
    std::memcpy(&x, a.data() + at, 8);
    std::memcpy(&y, b.data() + at, 8);
    if (x != y) return at + static_cast<std::size_t>(std::countr_zero(x ^ y)) / 8;
  }
  while (at < most && a[at] == b[at]) ++at;
  return at;
}

}  // namespace

// ---- Dictionary

// A string's slot comes from the same half of its hash that the slot keeps, so that growing needs
// no string to be hashed again.
std::uint32_t Dictionary::intern(std::string_view text) {
  if (std::size_t{size() + 1} * 4 > slots_.size() * 3) grow();
  const std::uint64_t tag = hash64(text) >> 32;
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = tag & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    if (slots_[slot] >> 32 != tag) continue;
    const auto index = static_cast<std::uint32_t>(slots_[slot]) - 1;
    if ((*this)[index] == text) return index;
  }
  const std::uint32_t index = size();
  bytes_.append(text);
  begin_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  slots_[slot] = tag << 32 | (index + 1);
  return index;
}

void Dictionary::grow() {
  const std::vector<std::uint64_t> old =
      std::exchange(slots_, std::vector<std::uint64_t>(slots_.empty() ? 64 : slots_.size() * 2, 0));
  const std::size_t mask = slots_.size() - 1;
  for (const std::uint64_t entry : old) {
    if (entry == 0) continue;
    std::size_t slot = (entry >> 32) & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = entry;
  }
}

void Dictionary::clear() {
  bytes_.clear();
  begin_.assign(1, 0);
  std::ranges::fill(slots_, 0);
}

// ---- Batch

void Batch::see(Time time, RowPart part, bool first) {
  newest_ = first ? time : std::max(newest_, time);
  oldest_ = first ? time : std::min(oldest_, time);
  if (part == RowPart::kWhole) ++rows_;
}

void Batch::add(const Event& event) {
  see(event.time, event.part, empty());
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
  if (!event.capability.empty() && event.type != EventType::kPractice) {
    put(extras_, kCapability);
    put_text(extras_, event.capability);
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

void Batch::reserve(std::size_t events, std::size_t id_bytes) {
  events = std::min<std::size_t>(events, kEventsMax);
  for (auto* column : {&learner_, &capability_, &domain_, &id_end_, &extra_end_}) {
    column->reserve(events);
  }
  time_.reserve(events);
  kind_.reserve(events);
  id_hash_.reserve(events);
  ids_.reserve(id_bytes);
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

std::string_view Batch::extras(std::uint32_t row) const {
  const std::uint32_t begin = row == 0 ? 0 : extra_end_[row - 1];
  return std::string_view(extras_).substr(begin, extra_end_[row] - begin);
}

bool Batch::fill(std::uint32_t row, Event& event, std::vector<Attribute>& attributes) const {
  attributes.clear();
  event.id = id(row);
  event.learner = learners_[learner_[row]];
  event.time = Time(std::chrono::microseconds(time_[row]));
  event.type = type(row);
  event.part = part(row);
  if (!read_extras(extras(row), event, attributes)) return false;
  if (capability_[row] != kNone) event.capability = capabilities_[capability_[row]];
  if (domain_[row] != kNone) event.domain = domains_[domain_[row]];
  if (event.type == EventType::kFeedback) event.acted_on = acted_on(row);
  event.attributes = attributes;
  return true;
}

Event Batch::event(std::uint32_t row, std::vector<Attribute>& attributes) const {
  Event event;
  COVEY_CHECK(fill(row, event, attributes));
  return event;
}

void Batch::attributes(std::uint32_t row, std::vector<Attribute>& out) const {
  Event rest;
  out.clear();
  COVEY_CHECK(read_extras(extras(row), rest, out));
}

Batch Batch::select(std::span<const std::uint8_t> keep) const {
  COVEY_CHECK(keep.size() == size());
  Batch kept;
  // Only strings of kept events go along; each is interned once, however many events name it.
  const auto renumber = [](const Dictionary& from, Dictionary& to) {
    return [&from, &to,
            known = std::vector<std::uint32_t>(from.size(), kNone)](std::uint32_t index) mutable {
      if (index == kNone) return kNone;
      if (known[index] == kNone) known[index] = to.intern(from[index]);
      return known[index];
    };
  };
  auto learner = renumber(learners_, kept.learners_);
  auto capability = renumber(capabilities_, kept.capabilities_);
  auto domain = renumber(domains_, kept.domains_);
  for (std::uint32_t row = 0; row < size(); ++row) {
    if (keep[row] == 0) continue;
    kept.see(Time(std::chrono::microseconds(time_[row])), part(row), kept.empty());
    kept.learner_.push_back(learner(learner_[row]));
    kept.capability_.push_back(capability(capability_[row]));
    kept.domain_.push_back(domain(domain_[row]));
    kept.time_.push_back(time_[row]);
    kept.kind_.push_back(kind_[row]);
    kept.id_hash_.push_back(id_hash_[row]);
    kept.ids_.append(id(row));
    kept.id_end_.push_back(static_cast<std::uint32_t>(kept.ids_.size()));
    kept.extras_.append(extras(row));
    kept.extra_end_.push_back(static_cast<std::uint32_t>(kept.extras_.size()));
  }
  return kept;
}

// Layout: docs/batch_format.md.
std::string Batch::encode() const {
  std::string out;
  out.reserve(256 + string_bytes() + std::size_t{size()} * 20);
  out.append(kMagic);
  put(out, kVersion);
  put<std::uint16_t>(out, 0);
  put<std::uint64_t>(out, 0);  // checksum, below
  put(out, size());
  for (const Dictionary* d : {&learners_, &capabilities_, &domains_}) {
    put(out, d->size());
    put(out, static_cast<std::uint32_t>(d->bytes()));
    for (std::uint32_t i = 0; i < d->size(); ++i) {
      put(out, static_cast<std::uint8_t>((*d)[i].size() - 1));
    }
    out.append(d->bytes_);
  }
  put_packed(out, size(), [&](std::size_t i) { return learner_[i]; });
  // The index behind the last one says "none": kNone itself would widen the whole column.
  put_packed(out, size(), [&, none = capabilities_.size()](std::size_t i) {
    return capability_[i] == kNone ? none : capability_[i];
  });
  put_packed(out, size(), [&, none = domains_.size()](std::size_t i) {
    return domain_[i] == kNone ? none : domain_[i];
  });

  const std::int64_t base = oldest_.time_since_epoch().count();
  std::uint32_t unit = 1'000'000;
  for (std::size_t i = 0; i < time_.size() && unit > 1; ++i) {
    while ((time_[i] - base) % unit != 0) unit /= 1000;
  }
  put(out, base);
  put(out, unit);
  // The divisor is a constant in each case, which divides four times faster.
  const auto since = [&](std::size_t i) { return static_cast<std::uint64_t>(time_[i] - base); };
  switch (unit) {
    case 1'000'000:
      put_packed(out, size(), [&](auto i) { return since(i) / 1'000'000; });
      break;
    case 1'000:
      put_packed(out, size(), [&](auto i) { return since(i) / 1'000; });
      break;
    default:
      put_packed(out, size(), since);
  }
  out.append(reinterpret_cast<const char*>(kind_.data()), kind_.size());

  // Ids of one source are mostly a name and a running number, so each is told from the one before.
  std::vector<std::uint16_t> shared(size());
  std::string tails;
  tails.reserve(ids_.size());
  std::string_view before;
  for (std::uint32_t row = 0; row < size(); ++row) {
    const std::string_view now = id(row);
    shared[row] = static_cast<std::uint16_t>(shared_prefix(before, now));
    tails.append(now.substr(shared[row]));
    before = now;
  }
  put_packed(out, size(), [&](std::size_t i) { return shared[i]; });
  put_packed(out, size(),
             [&](std::size_t i) { return id_end_[i] - (i == 0 ? 0 : id_end_[i - 1]) - shared[i]; });
  put(out, static_cast<std::uint32_t>(tails.size()));
  out.append(tails);
  put_packed(out, size(),
             [&](std::size_t i) { return extra_end_[i] - (i == 0 ? 0 : extra_end_[i - 1]); });
  put(out, static_cast<std::uint32_t>(extras_.size()));
  out.append(extras_);

  const std::uint64_t sum = hash64(std::string_view(out).substr(kBodyAt));
  std::memcpy(out.data() + kChecksumAt, &sum, sizeof sum);
  return out;
}

/// Reads what encode() wrote, part by part; each says whether it was sound.
struct Batch::Decoder {
  std::string_view in;
  Batch batch;

  bool dictionary(Dictionary& d, std::size_t bytes_max) {
    std::uint32_t count = 0, size = 0;
    std::string_view lengths, text;
    if (!take(in, count) || !take(in, size) || !take_bytes(in, count, lengths) ||
        !take_bytes(in, size, text)) {
      return false;
    }
    d.bytes_.reserve(size);
    d.begin_.reserve(std::size_t{count} + 1);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::size_t length = static_cast<std::uint8_t>(lengths[i]) + std::size_t{1};
      std::string_view entry;
      if (!take_bytes(text, length, entry) || !text_fault("", entry, bytes_max).empty() ||
          d.intern(entry) != i) {  // or it is there twice
        return false;
      }
    }
    return text.empty();
  }

  bool indices(std::vector<std::uint32_t>& column, std::size_t events, std::uint32_t bound,
               bool may_lack) {
    column.resize(events);
    return take_packed(in, events, [&](std::size_t i, std::uint64_t value) {
      column[i] = value < bound ? static_cast<std::uint32_t>(value) : kNone;
      return value < bound || (may_lack && value == bound);
    });
  }

  bool times(std::size_t events) {
    std::int64_t base = 0;
    std::uint32_t unit = 0;
    if (!take(in, base) || !take(in, unit) || (unit != 1 && unit != 1'000 && unit != 1'000'000)) {
      return false;
    }
    const std::int64_t least = earliest_time().time_since_epoch().count();
    const std::int64_t end = latest_time().time_since_epoch().count();
    // The base of no events is the epoch, which is between the two as well.
    if (base < least || base >= end) return false;
    const auto most = static_cast<std::uint64_t>(end - 1 - base) / unit;
    batch.time_.resize(events);
    return take_packed(in, events, [&](std::size_t i, std::uint64_t value) {
      if (value > most) return false;
      batch.time_[i] = base + static_cast<std::int64_t>(value * unit);
      return true;
    });
  }

  bool ids(std::size_t events) {
    std::vector<std::uint16_t> shared(events);
    std::vector<std::uint32_t>& end = batch.id_end_;
    end.resize(events);
    std::uint64_t total = 0;
    std::uint32_t size = 0;
    std::string_view tails;
    const auto give_shared = [&](std::size_t i, std::uint64_t value) {
      shared[i] = static_cast<std::uint16_t>(value);
      return value <= kIdBytesMax;
    };
    const auto give_tail = [&](std::size_t i, std::uint64_t value) {
      if (value > kIdBytesMax || shared[i] + value == 0 || shared[i] + value > kIdBytesMax ||
          shared[i] > (i == 0 ? 0 : end[i - 1] - (i == 1 ? 0 : end[i - 2]))) {
        return false;
      }
      total += shared[i] + value;
      end[i] = static_cast<std::uint32_t>(total);
      return total <= kStringBytesMax + kIdBytesMax;
    };
    if (!take_packed(in, events, give_shared) || !take_packed(in, events, give_tail) ||
        !take(in, size) || !take_bytes(in, size, tails)) {
      return false;
    }
    std::string& ids = batch.ids_;
    ids.resize(total);
    batch.id_hash_.resize(events);
    std::size_t at = 0, before = 0;
    for (std::size_t i = 0; i < events; ++i) {
      const std::size_t length = end[i] - at - shared[i];
      std::string_view tail;
      if (!take_bytes(tails, length, tail)) return false;
      std::memmove(ids.data() + at, ids.data() + before, shared[i]);
      std::memcpy(ids.data() + at + shared[i], tail.data(), length);
      const std::string_view id(ids.data() + at, end[i] - at);
      if (!text_fault("", id, kIdBytesMax).empty()) return false;
      batch.id_hash_[i] = hash128(id);
      before = at;
      at = end[i];
    }
    return tails.empty();
  }

  bool extras(std::size_t events) {
    std::uint64_t total = 0;
    std::uint32_t size = 0;
    std::string_view bytes;
    batch.extra_end_.resize(events);
    if (!take_packed(in, events,
                     [&](std::size_t i, std::uint64_t value) {
                       total += value;
                       batch.extra_end_[i] = static_cast<std::uint32_t>(total);
                       return value <= 0xffffffff && total <= 0xffffffff;
                     }) ||
        !take(in, size) || size != total || !take_bytes(in, size, bytes)) {
      return false;
    }
    batch.extras_ = bytes;
    return true;
  }

  /// What is wrong with an event, now that every column is there.
  std::string event_fault(std::uint32_t row, std::vector<Attribute>& attributes) const {
    const std::uint8_t kind = batch.kind_[row];
    const EventType type = batch.type(row);
    if ((kind & 0x0f) >= kEventTypes || ((kind >> 4) & 3) > 2 || (kind & 0x80) != 0 ||
        ((kind & kActedOnBit) != 0 && type != EventType::kFeedback)) {
      return "of no known kind";
    }
    if ((type == EventType::kPractice) != (batch.capability_[row] != kNone)) {
      return "capability and type do not go together";
    }
    // Ids, names and times are known to be sound; most events carry nothing that could not be.
    if (batch.extras(row).empty()) {
      switch (type) {
        case EventType::kPractice:
          return batch.domain_[row] == kNone ? "practice without a domain" : "";
        case EventType::kProfile:
          return "profile without attributes";
        case EventType::kPurchase:
          return "purchase without an amount";
        default:
          return {};
      }
    }
    Event event;
    if (!batch.fill(row, event, attributes)) return "carries something unreadable";
    return fault(event);
  }
};

Result<Batch> Batch::decode(std::string_view bytes) {
  const auto damaged = [](std::string_view what) {
    return fail(Errc::kCorrupt, fmt::format("batch: {}", what));
  };
  Decoder d{.in = bytes, .batch = {}};
  std::uint16_t version = 0, zero = 0;
  std::uint64_t sum = 0;
  std::uint32_t events = 0;
  if (!d.in.starts_with(kMagic)) return damaged(fmt::format("does not begin with {}", kMagic));
  d.in.remove_prefix(kMagic.size());
  if (!take(d.in, version) || !take(d.in, zero) || !take(d.in, sum)) {
    return damaged("cut off in the header");
  }
  if (version != kVersion || zero != 0) {
    return damaged(fmt::format("format {}.{}, of which this version knows only {}.0", version, zero,
                               kVersion));
  }
  if (hash64(d.in) != sum) return damaged("the checksum does not match the bytes");
  Batch& batch = d.batch;
  if (!take(d.in, events) || events > kEventsMax) return damaged("bad number of events");
  // A kind is a byte, so this bounds the columns' memory by the bytes that were given.
  if (events > d.in.size()) return damaged("cut off");
  if (!d.dictionary(batch.learners_, kLearnerBytesMax) ||
      !d.dictionary(batch.capabilities_, kNameBytesMax) ||
      !d.dictionary(batch.domains_, kNameBytesMax)) {
    return damaged("a dictionary is not sound");
  }
  if (!d.indices(batch.learner_, events, batch.learners_.size(), false) ||
      !d.indices(batch.capability_, events, batch.capabilities_.size(), true) ||
      !d.indices(batch.domain_, events, batch.domains_.size(), true)) {
    return damaged("an event names a string that is not there");
  }
  if (!d.times(events)) return damaged("a time is out of range");
  std::string_view kinds;
  if (!take_bytes(d.in, events, kinds)) return damaged("cut off");
  batch.kind_.assign(kinds.begin(), kinds.end());
  if (!d.ids(events)) return damaged("an id is not sound");
  if (!d.extras(events)) return damaged("what events carry has a wrong length");
  if (!d.in.empty()) return damaged("bytes behind the end");

  std::vector<Attribute> attributes;
  for (std::uint32_t row = 0; row < events; ++row) {
    if (const std::string broken = d.event_fault(row, attributes); !broken.empty()) {
      return damaged(fmt::format("event {}: {}", row, broken));
    }
    batch.see(Time(std::chrono::microseconds(batch.time_[row])), batch.part(row), row == 0);
  }
  return std::move(d.batch);
}

}  // namespace covey::events
