#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace covey::log {

/// What a framed value is; part of the header, so that a value read under the wrong key is noticed.
enum class Kind : std::uint8_t { kRecord = 1, kIds = 2, kChunk = 3, kManifest = 4 };

inline constexpr std::size_t kFrameBytes = 16;

/// The 16 bytes before every stored value: version, kind, length and an XXH3 checksum of the bytes
/// seeded with the place they belong to. Layout: docs/log_format.md.
std::array<char, kFrameBytes> frame(Kind kind, std::uint64_t place, std::string_view bytes);

/// The bytes behind the header, or nothing when any part of it does not fit them or the place.
std::optional<std::string_view> unframe(Kind kind, std::uint64_t place, std::string_view value);

/// Integers as the store writes them: keys big-endian, so that byte order is numeric order;
/// everything else little-endian.
std::string big_endian(std::uint64_t value);
std::optional<std::uint64_t> from_big_endian(std::string_view bytes);
void put_u64(std::string& out, std::uint64_t value);
/// Takes eight bytes off the front; nothing when fewer are left.
std::optional<std::uint64_t> take_u64(std::string_view& bytes);

}  // namespace covey::log
