#include "telemetry/collector.h"

namespace covey::telemetry {
namespace {

constexpr char kVersion = 3;
// What was added since stands last in each cell and in each arm's levels: with version 2 revenue
// and practice, with version 3 the faults, and of the levels what Levels has behind those two.
constexpr std::size_t kLevels[] = {0, 7, 9, Levels::kNumbers};
constexpr std::size_t kFaultsKept[] = {0, 0, 0, kFaults};
constexpr std::size_t kBucketsMax = 4'096;

// LEB128: nearly all counters of a slot are small or zero.
void put(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

struct Reader {
  std::string_view rest;
  bool bad = false;

  std::uint64_t take() {
    std::uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest.empty()) break;
      const auto byte = static_cast<unsigned char>(rest.front());
      rest.remove_prefix(1);
      out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return out;
    }
    bad = true;
    return 0;
  }
};

}  // namespace

std::string encode_slot(const ClosedSlot& slot) {
  std::string out(1, kVersion);
  put(out, static_cast<std::uint64_t>(slot.end.time_since_epoch().count()));
  put(out, slot.complete);
  const auto numbers = slot.sums.numbers();
  put(out, numbers.size());
  for (const std::uint64_t n : numbers) put(out, n);
  for (const Histogram& h : slot.latencies) {
    put(out, h.buckets().size());
    for (const std::uint64_t n : h.buckets()) put(out, n);
  }
  return out;
}

Result<ClosedSlot> decode_slot(const Shape& shape, std::string_view bytes) {
  const auto damaged = [](const char* what) {
    return fail(Errc::kCorrupt, std::string("a slot of telemetry is damaged: ") + what);
  };
  if (bytes.empty() || bytes.front() < 1 || bytes.front() > kVersion) {
    return damaged("an unknown version");
  }
  const auto version = static_cast<std::size_t>(bytes.front());
  Reader in{bytes.substr(1)};
  ClosedSlot out{
      Time(Duration(static_cast<Duration::rep>(in.take()))), Sums(shape), in.take() == 1, {}};
  const auto numbers = out.sums.numbers();
  const std::size_t cells = kArms * shape.segments.size();
  const std::size_t missing =
      cells * (kFaults - kFaultsKept[version]) + kArms * (Levels::kNumbers - kLevels[version]);
  if (in.take() != numbers.size() - missing) {
    return damaged("it has other segments or limits than the plan");
  }
  std::size_t at = 0;
  const auto take = [&](std::size_t kept, std::size_t of) {
    for (std::size_t i = 0; i < kept; ++i) numbers[at + i] = in.take();
    at += of;
  };
  const std::size_t cell = (numbers.size() - kArms * Levels::kNumbers) / cells;
  for (std::size_t c = 0; c < cells; ++c) take(cell - kFaults + kFaultsKept[version], cell);
  for (std::size_t a = 0; a < kArms; ++a) take(kLevels[version], Levels::kNumbers);
  for (Histogram& h : out.latencies) {
    const std::uint64_t buckets = in.take();
    if (buckets > kBucketsMax) return damaged("too many buckets");
    for (std::uint64_t i = 0; i < buckets && !in.bad; ++i) {
      const std::uint64_t n = in.take();
      if (n > 0) h.add(Histogram::middle(i), n);
    }
  }
  if (in.bad || !in.rest.empty()) return damaged("it ends early or late");
  return out;
}

}  // namespace covey::telemetry
