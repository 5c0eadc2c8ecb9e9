#include "log/id_index.h"

#include <fmt/format.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <unordered_set>
#include <utility>

namespace covey::log {
namespace {

// An entry, from the top: 26 bits of remainder, 4 of displacement (buckets away from home), 34 of
// sequence + 1. All zero is a slot never used since the shard was built.
constexpr int kSequenceBits = 34;
constexpr std::uint64_t kSequenceMask = (std::uint64_t{1} << kSequenceBits) - 1;
constexpr int kDisplacementBits = 4;
constexpr std::uint32_t kDisplacements = 1u << kDisplacementBits;
// Says "no record" in its sequence bits, yet keeps a search going as an empty slot would not.
constexpr std::uint64_t kRemoved = std::uint64_t{1} << kSequenceBits;

constexpr std::uint32_t kShards = 256;
constexpr std::uint32_t kSlots = 8;
// 2^32 / 128 + 1 values of the remainder need 26 bits.
constexpr std::uint32_t kBucketsMin = 128;
// Ids taken at once, so that their cache misses overlap: enough to cover the latency of memory,
// few enough to stay in the first-level cache.
constexpr std::size_t kAhead = 48;

constexpr double kLoadMax = 0.85;
// Beyond this, a rebuild at the same size would soon be due again.
constexpr double kWorthPurging = 0.70;

}  // namespace

struct alignas(64) IdIndex::Bucket {
  std::uint64_t slot[kSlots];
};

struct IdIndex::Shard {
  struct Free {
    void operator()(Bucket* buckets) const { std::free(buckets); }
  };
  std::unique_ptr<Bucket[], Free> bucket;
  std::uint32_t buckets = 0;  ///< homes; a displaced entry may stand behind the last
  std::uint64_t used = 0;     ///< slots that are not empty

  std::uint64_t slots() const { return std::uint64_t{buckets} * kSlots; }
  static std::size_t bytes(std::uint32_t buckets) {
    return (buckets + kDisplacements - 1) * sizeof(Bucket);
  }
  void allocate(std::uint32_t count) {
    void* memory = std::aligned_alloc(alignof(Bucket), bytes(count));
    COVEY_CHECK(memory != nullptr);
    std::memset(memory, 0, bytes(count));
    bucket.reset(static_cast<Bucket*>(memory));
    buckets = count;
    used = 0;
  }
  std::uint32_t home(std::uint32_t hash) const {
    return static_cast<std::uint32_t>(std::uint64_t{hash} * buckets >> 32);
  }
  /// The smallest hash whose home this is.
  std::uint64_t first_hash(std::uint32_t home) const {
    return ((std::uint64_t{home} << 32) + buckets - 1) / buckets;
  }
};

struct IdIndex::Place {
  std::uint32_t shard;
  std::uint32_t home;
  std::uint64_t remainder;

  std::uint64_t tag(std::uint32_t displacement) const {
    return remainder << kDisplacementBits | displacement;
  }
};

/// The ids entered by the running call: looked into only once two of them look alike, so that the
/// usual batch, all new, pays nothing.
class IdIndex::Own {
 public:
  Own(std::span<const Hash128> ids, std::span<const std::uint8_t> duplicate)
      : ids_(ids), duplicate_(duplicate) {}
  bool holds(const Hash128& id, std::size_t entered) {
    for (; seen_ < entered; ++seen_) {
      if (duplicate_[seen_] == 0) set_.insert(ids_[seen_]);
    }
    return set_.contains(id);
  }
  std::size_t next = 0;  ///< ids before this are decided

 private:
  std::span<const Hash128> ids_;
  std::span<const std::uint8_t> duplicate_;
  std::size_t seen_ = 0;
  struct Hasher {
    std::size_t operator()(const Hash128& id) const { return id.low ^ std::rotl(id.high, 32); }
  };
  std::unordered_set<Hash128, Hasher> set_;
};

IdIndex::IdIndex(std::size_t bytes_max) : bytes_max_(bytes_max), shards_(kShards) {
  for (Shard& shard : shards_) {
    shard.allocate(kBucketsMin);
    bytes_ += Shard::bytes(kBucketsMin);
  }
}

IdIndex::~IdIndex() = default;

void IdIndex::reserve(std::uint64_t entries) {
  // Shards differ by a few standard deviations of a Poisson count; 0.8 leaves room for that.
  const double each = static_cast<double>(entries) / kShards / (0.80 * kSlots);
  const auto most = bytes_max_ / kShards / sizeof(Bucket);
  const auto buckets = static_cast<std::uint32_t>(
      std::min({each + 1, static_cast<double>(most), double{1u << 30}}));
  for (Shard& shard : shards_) {
    if (buckets <= shard.buckets) continue;
    if (bytes_ + Shard::bytes(buckets) > bytes_max_) return;
    rebuild(shard, buckets);
  }
}

IdIndex::Place IdIndex::place(const Hash128& id) const {
  const std::uint64_t mixed = mix64(id.low + id.high * 0x9e3779b97f4a7c15ULL);
  const auto shard = static_cast<std::uint32_t>(mixed >> 56);
  const auto hash = static_cast<std::uint32_t>(mixed >> 24);
  const std::uint32_t home = shards_[shard].home(hash);
  return {shard, home, hash - shards_[shard].first_hash(home)};
}

Result<bool> IdIndex::known(const Place& at, std::uint64_t sequence, const Hash128& id, Own& own,
                            const Holds& holds) const {
  const Bucket* bucket = &shards_[at.shard].bucket[at.home];
  for (std::uint32_t away = 0; away < kDisplacements; ++away, ++bucket) {
    const std::uint64_t tag = at.tag(away);
    unsigned alike = 0;
    unsigned empty = 0;
    for (unsigned i = 0; i < kSlots; ++i) {
      alike |= static_cast<unsigned>(bucket->slot[i] >> kSequenceBits == tag) << i;
      empty |= static_cast<unsigned>(bucket->slot[i] == 0) << i;
    }
    for (; alike != 0; alike &= alike - 1) {
      const std::uint64_t field = bucket->slot[std::countr_zero(alike)] & kSequenceMask;
      if (field <= first_live_) continue;  // removed or forgotten
      const bool same = field - 1 == sequence ? own.holds(id, own.next)
                                              : COVEY_TRY(holds(field - 1, id));
      if (same) return true;
    }
    if (empty != 0) return false;
  }
  return false;
}

Result<void> IdIndex::enter(const Hash128& id, std::uint64_t sequence) {
  for (;;) {
    const Place at = place(id);
    Shard& shard = shards_[at.shard];
    std::uint64_t* slot = nullptr;
    std::uint32_t away = 0;
    for (; away < kDisplacements; ++away) {
      Bucket& bucket = shard.bucket[at.home + away];
      const auto free = std::ranges::find_if(bucket.slot, [&](std::uint64_t candidate) {
        return (candidate & kSequenceMask) <= first_live_;
      });
      if (free == std::ranges::end(bucket.slot)) continue;
      slot = free;
      break;
    }
    const bool roomy =
        static_cast<double>(shard.used) < kLoadMax * static_cast<double>(shard.slots());
    if (slot != nullptr && (*slot != 0 || roomy)) {
      // A forgotten entry was counted already; a removed one was not.
      if ((*slot & kSequenceMask) == 0) ++entries_;
      if (*slot == 0) ++shard.used;
      *slot = at.tag(away) << kSequenceBits | (sequence + 1);
      return {};
    }
    COVEY_TRY_VOID(make_room(shard));
  }
}

Result<void> IdIndex::make_room(Shard& shard) {
  std::uint64_t live = 0;
  for (std::uint32_t b = 0; b < shard.buckets + kDisplacements - 1; ++b) {
    for (const std::uint64_t slot : shard.bucket[b].slot) {
      live += (slot & kSequenceMask) > first_live_ ? 1 : 0;
    }
  }
  if (static_cast<double>(live) < kWorthPurging * static_cast<double>(shard.slots()) &&
      live < shard.used && rebuild(shard, shard.buckets)) {
    return {};
  }
  // Only made-up ids crowd one place of a nearly empty shard, and growing would not part them.
  if (shard.used > kSlots * kDisplacements && shard.used < shard.slots() / 8) {
    return fail(Errc::kRejected, "too many event ids share one hash; give events distinct ids");
  }
  for (std::uint64_t buckets = shard.buckets;;) {
    buckets += buckets / 3;
    const bool fits = buckets <= (1u << 30) &&
                      bytes_ - Shard::bytes(shard.buckets) +
                              Shard::bytes(static_cast<std::uint32_t>(buckets)) <=
                          bytes_max_;
    if (!fits) break;
    if (rebuild(shard, static_cast<std::uint32_t>(buckets))) return {};
  }
  if (static_cast<double>(live) < kWorthPurging * static_cast<double>(shard.used) &&
      rebuild(shard, shard.buckets)) {
    return {};
  }
  return fail(Errc::kFull,
              fmt::format("the id index is full: {} ids in {} bytes, and growing would pass "
                          "id_index_bytes_max = {}; raise it or shorten id_horizon",
                          entries_, bytes_, bytes_max_));
}

bool IdIndex::rebuild(Shard& shard, std::uint32_t buckets) {
  Shard next;
  next.allocate(buckets);
  std::uint64_t dropped = 0;
  for (std::uint32_t b = 0; b < shard.buckets + kDisplacements - 1; ++b) {
    for (const std::uint64_t slot : shard.bucket[b].slot) {
      if ((slot & kSequenceMask) <= first_live_) {
        dropped += (slot & kSequenceMask) != 0 ? 1 : 0;
        continue;
      }
      const auto away = static_cast<std::uint32_t>(slot >> kSequenceBits) % kDisplacements;
      const std::uint64_t remainder = slot >> (kSequenceBits + kDisplacementBits);
      const auto hash = static_cast<std::uint32_t>(shard.first_hash(b - away) + remainder);
      const std::uint32_t home = next.home(hash);
      const Place at{0, home, hash - next.first_hash(home)};
      std::uint64_t* found = nullptr;
      std::uint32_t d = 0;
      for (; found == nullptr && d < kDisplacements; ++d) {
        for (std::uint64_t& candidate : next.bucket[home + d].slot) {
          if (candidate != 0) continue;
          found = &candidate;
          break;
        }
      }
      if (found == nullptr) return false;
      *found = at.tag(d - 1) << kSequenceBits | (slot & kSequenceMask);
      ++next.used;
    }
  }
  bytes_ = bytes_ - Shard::bytes(shard.buckets) + Shard::bytes(buckets);
  entries_ -= dropped;
  shard = std::move(next);
  return true;
}

Result<void> IdIndex::add(std::span<const Hash128> ids, std::uint64_t sequence,
                          std::span<std::uint8_t> duplicate, const Holds& holds) {
  COVEY_CHECK(ids.size() == duplicate.size());
  COVEY_CHECK(sequence <= kSequenceMax);
  COVEY_CHECK(sequence >= first_live_);
  Own own(ids, duplicate);
  const auto undo = [&](Error error) {
    remove(ids.first(own.next), sequence, duplicate.first(own.next));
    return std::unexpected(std::move(error));
  };
  for (std::size_t begin = 0; begin < ids.size(); begin += kAhead) {
    const std::size_t end = std::min(begin + kAhead, ids.size());
    for (std::size_t i = begin; i < end; ++i) {
      const Place at = place(ids[i]);
      __builtin_prefetch(&shards_[at.shard].bucket[at.home], 1);
    }
    for (; own.next < end; ++own.next) {
      const Hash128& id = ids[own.next];
      auto seen = known(place(id), sequence, id, own, holds);
      if (!seen) return undo(std::move(seen).error());
      duplicate[own.next] = *seen ? 1 : 0;
      if (*seen) continue;
      if (auto entered = enter(id, sequence); !entered) return undo(std::move(entered).error());
    }
  }
  return {};
}

Result<void> IdIndex::load(std::span<const Hash128> ids, std::uint64_t sequence) {
  COVEY_CHECK(sequence <= kSequenceMax);
  for (std::size_t begin = 0; begin < ids.size(); begin += kAhead) {
    const std::size_t end = std::min(begin + kAhead, ids.size());
    for (std::size_t i = begin; i < end; ++i) {
      const Place at = place(ids[i]);
      __builtin_prefetch(&shards_[at.shard].bucket[at.home], 1);
    }
    for (std::size_t i = begin; i < end; ++i) COVEY_TRY_VOID(enter(ids[i], sequence));
  }
  return {};
}

void IdIndex::remove(std::span<const Hash128> ids, std::uint64_t sequence,
                     std::span<const std::uint8_t> duplicate) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (duplicate[i] != 0) continue;
    const Place at = place(ids[i]);
    bool found = false;
    for (std::uint32_t away = 0; !found && away < kDisplacements; ++away) {
      for (std::uint64_t& slot : shards_[at.shard].bucket[at.home + away].slot) {
        if (slot != (at.tag(away) << kSequenceBits | (sequence + 1))) continue;
        slot = kRemoved;
        --entries_;
        found = true;
        break;
      }
    }
    // Two ids alike in all 40 bits leave two equal entries, so either may go for the other.
    COVEY_CHECK(found);
  }
}

}  // namespace covey::log
