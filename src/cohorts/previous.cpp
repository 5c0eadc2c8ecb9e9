#include "cohorts/previous.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/hash.h"
#include "cohorts/matching.h"
#include "cohorts/points.h"

namespace covey::cohorts {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kMagic = 0x31765250'59564f43;  // "COVYPRv1"
constexpr std::size_t kHeader = 8 + 8 + 4 + 4;
constexpr std::size_t kChecksum = 8;
// Look-ups whose cache misses overlap.
constexpr std::size_t kBatch = 32;

template <typename T>
void put(std::string& bytes, const T* values, std::size_t count) {
  bytes.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

template <typename T>
void take(std::string_view& bytes, T* values, std::size_t count) {
  if (count > 0) std::memcpy(values, bytes.data(), count * sizeof(T));
  bytes.remove_prefix(count * sizeof(T));
}

// Where in a sorted list of hashes each value of their top bits begins: a look-up then costs two
// cache misses instead of the twenty of a binary search over millions, and both can be asked for
// ahead of time.
class Directory {
 public:
  explicit Directory(std::span<const std::uint64_t> sorted) : sorted_(sorted) {
    COVEY_CHECK(sorted.size() <= std::numeric_limits<std::uint32_t>::max());
    bits_ = std::clamp(static_cast<int>(std::bit_width(sorted.size())) - 2, 1, 24);
    first_.resize((std::size_t{1} << bits_) + 1);
    std::uint32_t i = 0;
    for (std::size_t top = 0; top + 1 < first_.size(); ++top) {
      while (i < sorted.size() && sorted[i] >> (64 - bits_) < top) ++i;
      first_[top] = i;
    }
    first_.back() = static_cast<std::uint32_t>(sorted.size());
  }

  void prefetch_entry(std::uint64_t key) const { __builtin_prefetch(&first_[key >> (64 - bits_)]); }
  void prefetch_keys(std::uint64_t key) const {
    __builtin_prefetch(sorted_.data() + first_[key >> (64 - bits_)]);
  }

  /// Position of the first equal key, or the list's size.
  std::size_t find(std::uint64_t key) const {
    const auto top = static_cast<std::size_t>(key >> (64 - bits_));
    const auto begin = sorted_.begin() + first_[top];
    const auto end = sorted_.begin() + first_[top + 1];
    const auto at = std::lower_bound(begin, end, key);
    return at != end && *at == key ? static_cast<std::size_t>(at - sorted_.begin())
                                   : sorted_.size();
  }

 private:
  std::span<const std::uint64_t> sorted_;
  int bits_ = 1;
  std::vector<std::uint32_t> first_;
};

}  // namespace

Overlap overlap(const Previous& previous, std::span<const std::uint8_t> clusterable,
                std::span<const std::size_t> before, std::span<const std::uint8_t> label,
                const std::function<std::uint64_t(std::size_t)>& key_of, Parallel& parallel) {
  Overlap result{};
  if (previous.learner.empty()) return result;
  const Directory directory(previous.learner);
  const std::size_t chunks = tasks_for(clusterable.size(), kChunk);
  std::vector<Overlap> part(chunks);
  parallel.run(chunks, [&](std::size_t c) {
    const std::size_t end = std::min(clusterable.size(), (c + 1) * kChunk);
    std::size_t at = before[c];
    std::array<std::uint64_t, kBatch> key{};
    std::array<std::uint8_t, kBatch> is{};
    std::size_t held = 0;
    const auto look_up = [&] {
      for (std::size_t h = 0; h < held; ++h) directory.prefetch_keys(key[h]);
      for (std::size_t h = 0; h < held; ++h)
        if (const std::size_t was = directory.find(key[h]); was < previous.learner.size())
          ++part[c][previous.label[was]][is[h]];
      held = 0;
    };
    for (std::size_t i = c * kChunk; i < end; ++i) {
      if (!clusterable[i]) continue;
      key[held] = key_of(i);
      is[held] = label[at++];
      directory.prefetch_entry(key[held]);
      if (++held == kBatch) look_up();
    }
    look_up();
  });
  for (const Overlap& p : part)
    for (std::size_t a = 0; a < kCenters; ++a)
      for (std::size_t b = 0; b < kCenters; ++b) result[a][b] += p[a][b];
  return result;
}

std::vector<std::uint32_t> inherit_ids(const Overlap& shared, std::span<const std::uint32_t> id,
                                       std::size_t k) {
  std::array<double, kCenters> was{}, is{};
  for (std::size_t a = 0; a < kCenters; ++a)
    for (std::size_t b = 0; b < kCenters; ++b) {
      was[a] += static_cast<double>(shared[a][b]);
      is[b] += static_cast<double>(shared[a][b]);
    }
  // k rows, kCenters columns; columns beyond the ids before share nothing.
  std::vector<double> score(k * kCenters);
  for (std::size_t now = 0; now < k; ++now)
    for (std::size_t before = 0; before < id.size(); ++before) {
      const auto both = static_cast<double>(shared[before][now]);
      if (both > 0 && both >= kSameCohort * (was[before] + is[now] - both))
        score[now * kCenters + before] = both;
    }
  std::vector<std::uint32_t> result(k);
  const auto match = best_matching(score, k, kCenters);
  for (std::size_t now = 0; now < k; ++now)
    if (score[now * kCenters + match[now]] > 0) result[now] = id[match[now]];
  return result;
}

Previous remember(const Discovery& run,
                  const std::function<std::uint64_t(learners::LearnerRef)>& key_of) {
  Previous result;
  result.next_id = run.next_id;
  for (const Cohort& cohort : run.cohorts) result.id.push_back(cohort.id);

  // Keys are hashes, so their top bits spread evenly: a counting sort leaves pieces of a few.
  const std::size_t n = run.learner.size();
  const int bits = std::clamp(static_cast<int>(std::bit_width(n)) - 4, 1, 16);
  struct Entry {
    std::uint64_t key;
    std::uint8_t label;
    auto operator<=>(const Entry&) const = default;
  };
  std::vector<std::uint64_t> key(n);
  std::vector<std::size_t> first((std::size_t{1} << bits) + 1);
  for (std::size_t i = 0; i < n; ++i) {
    key[i] = key_of(run.learner[i]);
    ++first[(key[i] >> (64 - bits)) + 1];
  }
  for (std::size_t b = 1; b < first.size(); ++b) first[b] += first[b - 1];
  std::vector<Entry> entry(n);
  auto next = first;
  for (std::size_t i = 0; i < n; ++i) entry[next[key[i] >> (64 - bits)]++] = {key[i], run.label[i]};
  for (std::size_t b = 0; b + 1 < first.size(); ++b)
    std::sort(entry.begin() + static_cast<std::ptrdiff_t>(first[b]),
              entry.begin() + static_cast<std::ptrdiff_t>(first[b + 1]));

  result.learner.resize(n);
  result.label.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    result.learner[i] = entry[i].key;
    result.label[i] = entry[i].label;
  }
  return result;
}

std::string encode(const Previous& previous) {
  std::string bytes;
  const std::uint64_t n = previous.learner.size();
  const auto k = static_cast<std::uint32_t>(previous.id.size());
  bytes.reserve(kHeader + k * 4 + n * 9 + kChecksum);
  put(bytes, &kMagic, 1);
  put(bytes, &n, 1);
  put(bytes, &k, 1);
  put(bytes, &previous.next_id, 1);
  put(bytes, previous.id.data(), k);
  put(bytes, previous.learner.data(), n);
  put(bytes, previous.label.data(), n);
  const std::uint64_t checksum = hash64(bytes);
  put(bytes, &checksum, 1);
  return bytes;
}

Result<Previous> decode_previous(std::string_view bytes) {
  const auto corrupt = [](std::string_view what) {
    return fail(Errc::kCorrupt,
                fmt::format("cohorts of the run before: {}; without them the next discovery starts "
                            "numbering afresh",
                            what));
  };
  if (bytes.size() < kHeader + kChecksum)
    return corrupt(fmt::format("{} bytes are too short", bytes.size()));
  std::uint64_t magic = 0, n = 0, checksum = 0;
  std::uint32_t k = 0;
  std::string_view tail = bytes.substr(bytes.size() - kChecksum);
  take(tail, &checksum, 1);
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksum);
  std::string_view rest = body;
  take(rest, &magic, 1);
  if (magic != kMagic) return corrupt("not in a format this version reads");
  if (hash64(body) != checksum) return corrupt("the checksum does not match");

  Previous result;
  take(rest, &n, 1);
  take(rest, &k, 1);
  take(rest, &result.next_id, 1);
  if (k > kCohortsMax) return corrupt(fmt::format("{} cohorts, at most {}", k, kCohortsMax));
  // Bounded before it is multiplied, so no count can wrap around to the right size.
  if (n > rest.size() || rest.size() != k * 4 + n * 9)
    return corrupt(fmt::format("{} bytes for {} learners in {} cohorts", bytes.size(), n, k));
  result.id.resize(k);
  result.learner.resize(n);
  result.label.resize(n);
  take(rest, result.id.data(), k);
  take(rest, result.learner.data(), n);
  take(rest, result.label.data(), n);

  for (std::size_t j = 0; j < k; ++j)
    if (result.id[j] == 0 || result.id[j] >= result.next_id ||
        std::count(result.id.begin(), result.id.end(), result.id[j]) != 1)
      return corrupt(fmt::format("cohort id {} is out of place", result.id[j]));
  if (result.next_id == 0) return corrupt("the next id is 0");
  if (!std::ranges::is_sorted(result.learner)) return corrupt("learners are out of order");
  if (std::ranges::any_of(result.label, [&](std::uint8_t l) { return l >= k; }))
    return corrupt("a learner is in a cohort that does not exist");
  return result;
}

}  // namespace covey::cohorts
