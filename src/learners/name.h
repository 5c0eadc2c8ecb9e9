#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace covey::learners {

/// A learner's id beside its row: up to 16 bytes in place, longer ones by number in
/// Shard::long_names_. The last byte tells: below 17 how many are unused, 255 that it is long,
/// else it is the sixteenth byte of the id.
struct Name {
  std::array<char, 16> text{};

  static bool fits(std::string_view learner) {
    if (learner.size() < 16) return true;
    if (learner.size() > 16) return false;
    const auto last = static_cast<std::uint8_t>(learner.back());
    return last > 16 && last != kLong;
  }
  static Name of(std::string_view learner) {
    Name name;
    name.set(learner);
    if (learner.size() < 16) name.text[15] = static_cast<char>(16 - learner.size());
    return name;
  }
  /// One that is kept elsewhere under this number.
  static Name elsewhere(std::uint32_t number) {
    Name name;
    std::memcpy(name.text.data(), &number, sizeof number);
    name.text[15] = static_cast<char>(kLong);
    return name;
  }
  bool is_long() const { return last() == kLong; }
  std::uint32_t number() const {
    std::uint32_t out = 0;
    std::memcpy(&out, text.data(), sizeof out);
    return out;
  }
  std::string_view view() const {
    return {text.data(), last() <= 16 ? std::size_t{16} - last() : std::size_t{16}};
  }
  bool valid() const { return last() != 0; }
  friend bool operator==(const Name& a, const Name& b) {
    return std::memcmp(&a, &b, sizeof(Name)) == 0;  // what is unused is zeros
  }

 private:
  // Two moves that overlap: a copy of so many bytes would be a call.
  void set(std::string_view learner) {
    const char* const from = learner.data();
    const std::size_t size = learner.size();
    std::uint64_t low = 0, high = 0;
    if (size >= 8) {
      std::memcpy(&low, from, 8);
      std::memcpy(&high, from + size - 8, 8);
      high = size > 8 ? high >> (8 * (16 - size)) : 0;
    } else if (size >= 4) {
      std::uint32_t first = 0, last = 0;
      std::memcpy(&first, from, 4);
      std::memcpy(&last, from + size - 4, 4);
      low = first | std::uint64_t{last} << (8 * (size - 4));
    } else {
      for (std::size_t i = 0; i < size; ++i) {
        low |= std::uint64_t{static_cast<std::uint8_t>(from[i])} << (8 * i);
      }
    }
    std::memcpy(text.data(), &low, 8);
    std::memcpy(text.data() + 8, &high, 8);
  }
  static constexpr std::uint8_t kLong = 255;
  std::uint8_t last() const { return static_cast<std::uint8_t>(text[15]); }
};
static_assert(sizeof(Name) == 16);

}  // namespace covey::learners
