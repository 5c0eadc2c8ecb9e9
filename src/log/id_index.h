#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace covey::log {

/// Which record holds an id: a hash table of eight bytes an entry.
///
/// Hides 256 shards of cache-line buckets. An entry keeps 40 bits of the id's hash and the record's
/// sequence number. The hash bits are split by quotienting: the bucket an entry belongs to gives
/// the upper ones, the entry itself the rest, so a shard can grow without the ids. A hit on all 40
/// bits is put to the caller, who compares the whole id: answers are exact.
///
/// Cost: one cache miss for a new id, hidden by prefetching; a false hit about once in
/// 2^40 / entries look-ups. Not for threads.
class IdIndex {
 public:
  /// Does record `sequence` hold `id`? May fail, since it reads the store.
  using Holds = std::function<Result<bool>(std::uint64_t sequence, const Hash128& id)>;

  static constexpr std::uint64_t kSequenceMax = (std::uint64_t{1} << 34) - 2;

  explicit IdIndex(std::size_t bytes_max);
  ~IdIndex();
  IdIndex(const IdIndex&) = delete;
  IdIndex& operator=(const IdIndex&) = delete;

  /// Makes room for about `entries`, so that filling grows nothing. Best effort, within the limit.
  void reserve(std::uint64_t entries);

  /// Enters every id that no live record holds, under `sequence`, in order; duplicate[i] says that
  /// ids[i] was there already, perhaps from earlier in `ids`. `holds` is asked about other records
  /// only. On an error (kFull: the limit is reached; or what `holds` said) everything entered by
  /// this call is taken out again.
  Result<void> add(std::span<const Hash128> ids, std::uint64_t sequence,
                   std::span<std::uint8_t> duplicate, const Holds& holds);

  /// Enters ids known to be held by no other record: start-up, from the store itself. They are
  /// gathered by shard, since a shard fits the second-level cache and the whole does not;
  /// `finish_load` must follow before any other call.
  Result<void> load(std::span<const Hash128> ids, std::uint64_t sequence);
  Result<void> finish_load();

  /// Takes out those of `ids` that stand under `sequence` and are not marked `duplicate`.
  void remove(std::span<const Hash128> ids, std::uint64_t sequence,
              std::span<const std::uint8_t> duplicate);

  /// Records before `sequence` are forgotten. Their entries are dropped when room is needed.
  void forget_before(std::uint64_t sequence) { first_live_ = std::max(first_live_, sequence); }

  /// Forgotten entries count until they are dropped.
  std::uint64_t entries() const { return entries_; }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Bucket;
  struct Shard;
  struct Key;
  struct Place;
  struct Staged;
  class Own;

  static Key key(const Hash128& id);
  Place place(const Key& key) const;
  Result<bool> known(const Place& at, std::uint64_t sequence, const Hash128& id, Own& own,
                     const Holds& holds) const;
  template <typename Each>
  Result<void> each_placed(std::span<const Hash128> ids, const Each& each);
  Result<void> enter(const Key& key, Place at, std::uint64_t sequence);
  Result<void> unload(std::uint32_t shard);
  Result<void> make_room(Shard& shard);
  bool rebuild(Shard& shard, std::uint32_t buckets);

  std::size_t bytes_max_;
  std::vector<Shard> shards_;
  std::vector<std::vector<Staged>> staged_;  ///< by shard; empty but while loading
  std::uint64_t first_live_ = 0;
  std::uint64_t entries_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t rebuilds_ = 0;  ///< a rebuild moves what was placed before it
};

}  // namespace covey::log
