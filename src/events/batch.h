#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "events/event.h"

namespace covey::events {

/// Distinct strings numbered 0, 1, 2, ... in order of first use. Not for threads.
class Dictionary {
 public:
  std::uint32_t intern(std::string_view text);
  std::string_view operator[](std::uint32_t index) const {
    return {bytes_.data() + begin_[index], begin_[index + 1] - begin_[index]};
  }
  std::uint32_t size() const { return static_cast<std::uint32_t>(begin_.size() - 1); }
  std::size_t bytes() const { return bytes_.size(); }
  void clear();

 private:
  friend class Batch;
  void grow();
  std::string bytes_;
  std::vector<std::uint32_t> begin_{0};
  std::vector<std::uint64_t> slots_;  // high 32 bits of the hash, low 32: index + 1; 0 is free
};

/// Events as columns with dictionaries: what a codec fills, the log stores and an engine folds.
///
/// A batch is whole or absent: encode() makes one checksummed byte string, decode() takes foreign
/// bytes and trusts none of them. Byte format: docs/batch_format.md. At most 2^24 events and
/// 1 GiB of strings; add() must not be called once full() says so.
class Batch {
 public:
  /// Copies the event in. COVEY_CHECKs that fault(event) is empty is the codec's duty, not ours.
  void add(const Event& event);

  std::uint32_t size() const { return static_cast<std::uint32_t>(time_.size()); }
  bool empty() const { return time_.empty(); }
  bool full() const { return size() >= kEventsMax || string_bytes() >= kStringBytesMax; }
  void clear();
  /// Room for so many events, of which ids take so many bytes: growing would copy them.
  void reserve(std::size_t events, std::size_t id_bytes);
  /// Bytes held, about: what a queue of batches counts against its limit.
  std::size_t memory_bytes() const;

  // Columns, all `size()` long.
  std::span<const std::uint32_t> learner() const { return learner_; }        ///< into learners()
  std::span<const std::int64_t> time_us() const { return time_; }            ///< since 1970, UTC
  std::span<const std::uint32_t> capability() const { return capability_; }  ///< kPractice only
  std::span<const std::uint32_t> domain() const { return domain_; }  ///< kNone where not given
  std::span<const Hash128> id_hash() const { return id_hash_; }      ///< hash128(id)
  EventType type(std::uint32_t row) const { return static_cast<EventType>(kind_[row] & 0x0f); }
  RowPart part(std::uint32_t row) const { return static_cast<RowPart>((kind_[row] >> 4) & 3); }
  bool acted_on(std::uint32_t row) const { return (kind_[row] & 0x40) != 0; }
  std::string_view id(std::uint32_t row) const;

  /// What event(row).attributes would be, and nothing else of it.
  void attributes(std::uint32_t row, std::vector<Attribute>& out) const;
  /// For who will ask for those of rows that lie far apart.
  void prefetch_attributes(std::uint32_t row) const {
    __builtin_prefetch(extras_.data() + (row == 0 ? 0 : extra_end_[row - 1]));
  }

  const Dictionary& learners() const { return learners_; }
  const Dictionary& capabilities() const { return capabilities_; }
  const Dictionary& domains() const { return domains_; }

  /// One event with everything it came with. `attributes` is the caller's room for them; the
  /// event borrows from it and from the batch.
  Event event(std::uint32_t row, std::vector<Attribute>& attributes) const;

  Time newest() const { return newest_; }  ///< latest event time; the epoch when empty
  Time oldest() const { return oldest_; }
  /// Rows of the source in here: events that are RowPart::kWhole.
  std::uint32_t rows() const { return rows_; }

  /// The events whose `keep` is set, in order. keep.size() == size().
  Batch select(std::span<const std::uint8_t> keep) const;

  /// Checksummed bytes, decodable by every later version.
  std::string encode() const;
  /// kCorrupt with what is wrong: bytes, checksum, version, an index out of range, an event that
  /// breaks the model's limits.
  static Result<Batch> decode(std::string_view bytes);

  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint32_t kEventsMax = 1u << 24;
  static constexpr std::size_t kStringBytesMax = std::size_t{1} << 30;

 private:
  struct Decoder;

  std::size_t string_bytes() const;
  std::string_view extras(std::uint32_t row) const;
  bool fill(std::uint32_t row, Event& event, std::vector<Attribute>& attributes) const;
  void see(Time time, RowPart part, bool first);

  Dictionary learners_, capabilities_, domains_;
  std::vector<std::uint32_t> learner_, capability_, domain_;
  std::vector<std::int64_t> time_;
  std::vector<std::uint8_t> kind_;  // 0-3 type, 4-5 part, 6 acted_on
  std::vector<Hash128> id_hash_;
  std::string ids_;  // one after the other
  std::vector<std::uint32_t> id_end_;
  std::string extras_;  // what has no column, tagged: score, amount, attributes, ...
  std::vector<std::uint32_t> extra_end_;
  Time newest_{}, oldest_{};
  std::uint32_t rows_ = 0;
};

}  // namespace covey::events
