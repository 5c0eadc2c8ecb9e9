#include "log/frame.h"

#include <bit>
#include <cstring>

#include "base/hash.h"

static_assert(std::endian::native == std::endian::little);

namespace covey::log {
namespace {

constexpr char kFrameVersion = 1;

// The kind belongs to the seed too: a flipped kind byte must not turn one frame into another.
std::uint64_t seed(Kind kind, std::uint64_t place) {
  return mix64(place) + static_cast<std::uint64_t>(kind);
}

}  // namespace

std::array<char, kFrameBytes> frame(Kind kind, std::uint64_t place, std::string_view bytes) {
  std::array<char, kFrameBytes> header{};
  header[0] = kFrameVersion;
  header[1] = static_cast<char>(kind);
  const auto length = static_cast<std::uint32_t>(bytes.size());
  const std::uint64_t checksum = hash64(bytes, seed(kind, place));
  std::memcpy(&header[4], &length, sizeof length);
  std::memcpy(&header[8], &checksum, sizeof checksum);
  return header;
}

std::optional<std::string_view> unframe(Kind kind, std::uint64_t place, std::string_view value) {
  if (value.size() < kFrameBytes) return std::nullopt;
  const std::string_view bytes = value.substr(kFrameBytes);
  const auto expected = frame(kind, place, bytes);
  if (std::memcmp(expected.data(), value.data(), kFrameBytes) != 0) return std::nullopt;
  return bytes;
}

std::string big_endian(std::uint64_t value) {
  const std::uint64_t swapped = __builtin_bswap64(value);
  return {reinterpret_cast<const char*>(&swapped), sizeof swapped};
}

std::optional<std::uint64_t> from_big_endian(std::string_view bytes) {
  if (bytes.size() != sizeof(std::uint64_t)) return std::nullopt;
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return __builtin_bswap64(value);
}

void put_u64(std::string& out, std::uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::optional<std::uint64_t> take_u64(std::string_view& bytes) {
  if (bytes.size() < sizeof(std::uint64_t)) return std::nullopt;
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

}  // namespace covey::log
