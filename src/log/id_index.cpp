#include "log/id_index.h"

#include <fmt/format.h>
#include <smmintrin.h>

#include <array>
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

// Ids gathered for a shard before they are entered: 32 MiB for all shards.
constexpr std::size_t kStaged = 8192;

constexpr double kLoadMax = 0.85;
// Beyond this, a rebuild at the same size would soon be due again.
constexpr double kWorthPurging = 0.70;

}  // namespace

struct alignas(64) IdIndex::Bucket {
  std::uint64_t slot[kSlots];

  /// One bit a slot: what is above the sequence equals `tag`.
  unsigned alike(std::uint64_t tag) const {
    const __m128i wanted = _mm_set1_epi64x(static_cast<long long>(tag));
    return mask(
        [&](__m128i pair) { return _mm_cmpeq_epi64(_mm_srli_epi64(pair, kSequenceBits), wanted); });
  }
  unsigned empty() const {
    return mask([](__m128i pair) { return _mm_cmpeq_epi64(pair, _mm_setzero_si128()); });
  }

 private:
  template <typename Test>
  unsigned mask(const Test& test) const {
    unsigned bits = 0;
    for (unsigned i = 0; i < kSlots; i += 2) {
      const __m128i pair = _mm_load_si128(reinterpret_cast<const __m128i*>(&slot[i]));
      bits |= static_cast<unsigned>(_mm_movemask_pd(_mm_castsi128_pd(test(pair)))) << i;
    }
    return bits;
  }
};

struct IdIndex::Key {
  std::uint32_t shard;
  std::uint32_t hash;
};

struct IdIndex::Staged {
  std::uint64_t sequence;
  std::uint32_t hash;
};

struct IdIndex::Place {
  std::uint32_t shard;
  std::uint32_t home;
  std::uint64_t remainder;

  std::uint64_t tag(std::uint32_t displacement) const {
    return remainder << kDisplacementBits | displacement;
  }
};

struct IdIndex::Shard {
  struct Free {
    void operator()(Bucket* buckets) const { std::free(buckets); }
  };
  std::unique_ptr<Bucket[], Free> bucket;
  std::uint32_t buckets = 0;  ///< homes; a displaced entry may stand behind the last
  std::uint64_t inverse = 0;  ///< 2^64 / buckets, rounded up
  std::uint64_t used = 0;     ///< slots that are not empty
  std::uint64_t used_max = 0;

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
    inverse = ~std::uint64_t{0} / count + 1;
    used = 0;
    used_max = static_cast<std::uint64_t>(kLoadMax * static_cast<double>(slots()));
  }
  /// Splits a hash into its bucket and its rank among the hashes of that bucket. With
  /// hash * buckets = home * 2^32 + low, the rank is low / buckets, here by multiplication: exact
  /// for 32-bit numerators (Lemire, Kaser and Kurz, "Faster remainder by direct computation",
  /// 2019).
  Place split(std::uint32_t shard, std::uint32_t hash) const {
    const std::uint64_t product = std::uint64_t{hash} * buckets;
    const auto rank = static_cast<std::uint64_t>(
        static_cast<unsigned __int128>(inverse) * static_cast<std::uint32_t>(product) >> 64);
    return {shard, static_cast<std::uint32_t>(product >> 32), rank};
  }
  /// The smallest hash whose home this is.
  std::uint64_t first_hash(std::uint32_t home) const {
    return ((std::uint64_t{home} << 32) + buckets - 1) / buckets;
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
  const auto buckets =
      static_cast<std::uint32_t>(std::min({each + 1, static_cast<double>(most), double{1u << 30}}));
  for (Shard& shard : shards_) {
    if (buckets <= shard.buckets) continue;
    if (bytes_ + Shard::bytes(buckets) > bytes_max_) return;
    rebuild(shard, buckets);
  }
}

IdIndex::Key IdIndex::key(const Hash128& id) {
  const std::uint64_t mixed = mix64(id.low + id.high * 0x9e3779b97f4a7c15ULL);
  return {static_cast<std::uint32_t>(mixed >> 56), static_cast<std::uint32_t>(mixed >> 24)};
}

IdIndex::Place IdIndex::place(const Key& key) const {
  return shards_[key.shard].split(key.shard, key.hash);
}

template <typename Each>
Result<void> IdIndex::each_placed(std::span<const Hash128> ids, const Each& each) {
  std::array<Place, kAhead> places;
  for (std::size_t begin = 0; begin < ids.size(); begin += kAhead) {
    const auto block = ids.subspan(begin, std::min(kAhead, ids.size() - begin));
    for (std::size_t i = 0; i < block.size(); ++i) {
      places[i] = place(key(block[i]));
      __builtin_prefetch(&shards_[places[i].shard].bucket[places[i].home], 1);
    }
    const std::uint64_t rebuilds = rebuilds_;
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (rebuilds != rebuilds_) places[i] = place(key(block[i]));
      COVEY_TRY_VOID(each(begin + i, places[i]));
    }
  }
  return {};
}

Result<bool> IdIndex::known(const Place& at, std::uint64_t sequence, const Hash128& id, Own& own,
                            const Holds& holds) const {
  const Bucket* bucket = &shards_[at.shard].bucket[at.home];
  for (std::uint32_t away = 0; away < kDisplacements; ++away, ++bucket) {
    for (unsigned alike = bucket->alike(at.tag(away)); alike != 0; alike &= alike - 1) {
      const std::uint64_t field = bucket->slot[std::countr_zero(alike)] & kSequenceMask;
      if (field <= first_live_) continue;  // removed or forgotten
      const bool same =
          field - 1 == sequence ? own.holds(id, own.next) : COVEY_TRY(holds(field - 1, id));
      if (same) return true;
    }
    if (bucket->empty() != 0) return false;
  }
  return false;
}

Result<void> IdIndex::enter(const Key& key, Place at, std::uint64_t sequence) {
  for (;; at = place(key)) {
    Shard& shard = shards_[at.shard];
    if (shard.used < shard.used_max) {
      Bucket* bucket = &shard.bucket[at.home];
      for (std::uint32_t away = 0; away < kDisplacements; ++away, ++bucket) {
        const unsigned empty = bucket->empty();
        if (empty == 0) continue;
        bucket->slot[std::countr_zero(empty)] = at.tag(away) << kSequenceBits | (sequence + 1);
        ++shard.used;
        ++entries_;
        return {};
      }
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
    const bool fits =
        buckets <= (1u << 30) &&
        bytes_ - Shard::bytes(shard.buckets) + Shard::bytes(static_cast<std::uint32_t>(buckets)) <=
            bytes_max_;
    if (!fits) break;
    if (rebuild(shard, static_cast<std::uint32_t>(buckets))) return {};
  }
  // At the limit a little is worth it too, but not a rebuild for every id.
  if (live + live / 16 < shard.used && rebuild(shard, shard.buckets)) return {};
  return fail(Errc::kFull,
              fmt::format("the id index is full: {} ids in {} bytes, and growing would pass "
                          "id_index_bytes_max = {}; raise it or shorten id_horizon",
                          entries_, bytes_, bytes_max_));
}

bool IdIndex::rebuild(Shard& shard, std::uint32_t buckets) {
  Shard next;
  next.allocate(buckets);
  std::uint64_t dropped = 0;
  std::array<std::uint64_t, kDisplacements> first;  // of the last buckets, by their low bits
  for (std::uint32_t b = 0; b < shard.buckets + kDisplacements - 1; ++b) {
    first[b % kDisplacements] = shard.first_hash(b);
    for (const std::uint64_t slot : shard.bucket[b].slot) {
      if ((slot & kSequenceMask) <= first_live_) {
        dropped += (slot & kSequenceMask) != 0 ? 1 : 0;
        continue;
      }
      const auto away = static_cast<std::uint32_t>(slot >> kSequenceBits) % kDisplacements;
      const std::uint64_t rank = slot >> (kSequenceBits + kDisplacementBits);
      const auto hash = static_cast<std::uint32_t>(first[(b - away) % kDisplacements] + rank);
      const Place at = next.split(0, hash);
      std::uint32_t moved = 0;
      while (moved < kDisplacements && next.bucket[at.home + moved].empty() == 0) ++moved;
      if (moved == kDisplacements) return false;
      Bucket& bucket = next.bucket[at.home + moved];
      bucket.slot[std::countr_zero(bucket.empty())] =
          at.tag(moved) << kSequenceBits | (slot & kSequenceMask);
      ++next.used;
    }
  }
  bytes_ = bytes_ - Shard::bytes(shard.buckets) + Shard::bytes(buckets);
  entries_ -= dropped;
  ++rebuilds_;
  shard = std::move(next);
  return true;
}

Result<void> IdIndex::add(std::span<const Hash128> ids, std::uint64_t sequence,
                          std::span<std::uint8_t> duplicate, const Holds& holds) {
  COVEY_CHECK(ids.size() == duplicate.size());
  COVEY_CHECK(sequence <= kSequenceMax);
  COVEY_CHECK(sequence >= first_live_);
  COVEY_CHECK(staged_.empty());
  Own own(ids, duplicate);
  auto done = each_placed(ids, [&](std::size_t i, const Place& at) -> Result<void> {
    const bool seen = COVEY_TRY(known(at, sequence, ids[i], own, holds));
    if (!seen) COVEY_TRY_VOID(enter(key(ids[i]), at, sequence));
    duplicate[i] = seen ? 1 : 0;
    own.next = i + 1;
    return {};
  });
  if (!done) remove(ids.first(own.next), sequence, duplicate.first(own.next));
  return done;
}

Result<void> IdIndex::load(std::span<const Hash128> ids, std::uint64_t sequence) {
  COVEY_CHECK(sequence <= kSequenceMax);
  if (staged_.empty()) {
    staged_.resize(kShards);
    for (auto& staged : staged_) staged.reserve(kStaged);
  }
  for (const Hash128& id : ids) {
    const Key k = key(id);
    staged_[k.shard].push_back({sequence, k.hash});
    if (staged_[k.shard].size() == kStaged) COVEY_TRY_VOID(unload(k.shard));
  }
  return {};
}

Result<void> IdIndex::finish_load() {
  for (std::uint32_t shard = 0; shard < staged_.size(); ++shard) COVEY_TRY_VOID(unload(shard));
  staged_ = {};
  return {};
}

Result<void> IdIndex::unload(std::uint32_t shard) {
  for (const Staged& staged : staged_[shard]) {
    const Key k{shard, staged.hash};
    COVEY_TRY_VOID(enter(k, place(k), staged.sequence));
  }
  staged_[shard].clear();
  return {};
}

void IdIndex::remove(std::span<const Hash128> ids, std::uint64_t sequence,
                     std::span<const std::uint8_t> duplicate) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (duplicate[i] != 0) continue;
    const Place at = place(key(ids[i]));
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
