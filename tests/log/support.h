#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "log/log.h"

namespace covey::log {

/// A folder of its own, gone with the object.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "covey-log-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Seeds of a property: `count` of them, or the one of COVEY_SEED.
inline std::vector<std::uint64_t> seeds(std::uint64_t count) {
  if (const char* one = std::getenv("COVEY_SEED")) return {std::strtoull(one, nullptr, 10)};
  std::vector<std::uint64_t> all;
  for (std::uint64_t seed = 1; seed <= count; ++seed) all.push_back(seed);
  return all;
}

inline Hash128 id_of(std::uint64_t n) {
  return hash128({reinterpret_cast<const char*>(&n), sizeof n});
}

inline std::vector<Hash128> ids_of(const std::vector<std::uint64_t>& numbers) {
  std::vector<Hash128> ids;
  for (const std::uint64_t n : numbers) ids.push_back(id_of(n));
  return ids;
}

/// A record whose bytes are the numbers that were kept, then `filler` bytes: what is read back says
/// what was stored.
class Batch {
 public:
  explicit Batch(std::vector<std::uint64_t> numbers, std::size_t filler = 0)
      : numbers_(std::move(numbers)), ids_(ids_of(numbers_)), filler_(filler) {}
  Batch(Batch&&) = default;

  Record record() const {
    Record record;
    record.ids = ids_;
    record.encode = [this](std::span<const std::uint8_t> duplicate) {
      std::uint64_t kept = 0;
      std::string bytes(8, '\0');
      for (std::size_t i = 0; i < numbers_.size(); ++i) {
        if (duplicate[i] != 0) continue;
        bytes.append(reinterpret_cast<const char*>(&numbers_[i]), 8);
        ++kept;
      }
      if (kept == 0) return std::string();
      std::memcpy(bytes.data(), &kept, 8);
      return bytes + std::string(filler_, 'x');
    };
    return record;
  }

 private:
  std::vector<std::uint64_t> numbers_;
  std::vector<Hash128> ids_;
  std::size_t filler_;
};

inline std::vector<std::uint64_t> numbers_in(std::string_view bytes) {
  std::uint64_t kept = 0;
  std::memcpy(&kept, bytes.data(), 8);
  std::vector<std::uint64_t> numbers(kept);
  std::memcpy(numbers.data(), bytes.data() + 8, kept * 8);
  return numbers;
}

inline Result<std::vector<Appended>> append(Log& log, const std::vector<Batch>& group) {
  std::vector<Record> records;
  for (const Batch& batch : group) records.push_back(batch.record());
  return log.append(records);
}

inline Result<Appended> append_one(Log& log, std::vector<std::uint64_t> numbers,
                                   std::size_t filler = 0) {
  std::vector<Batch> group;
  group.emplace_back(std::move(numbers), filler);
  auto done = append(log, group);
  if (!done) return std::unexpected(done.error());
  return done->front();
}

/// Everything stored, in order.
inline Result<std::vector<std::uint64_t>> stored(const Log& log, const Cursor& from = {}) {
  std::vector<std::uint64_t> all;
  const auto end = log.read(from, [&](Position, std::string_view bytes) -> Result<void> {
    for (const std::uint64_t n : numbers_in(bytes)) all.push_back(n);
    return {};
  });
  if (!end) return std::unexpected(end.error());
  return all;
}

inline bool distinct(const std::vector<std::uint64_t>& numbers) {
  return std::set<std::uint64_t>(numbers.begin(), numbers.end()).size() == numbers.size();
}

template <typename T>
testing::AssertionResult ok(const Result<T>& result) {
  if (result) return testing::AssertionSuccess();
  return testing::AssertionFailure() << name(result.error().code) << ": " << result.error().message;
}

template <typename T>
testing::AssertionResult fails(const Result<T>& result, Errc code, std::string_view says = "") {
  if (result) return testing::AssertionFailure() << "no error, expected " << name(code);
  if (result.error().code != code || result.error().message.find(says) == std::string::npos) {
    return testing::AssertionFailure()
           << "expected " << name(code) << " saying '" << says << "', got "
           << name(result.error().code) << ": " << result.error().message;
  }
  return testing::AssertionSuccess();
}

}  // namespace covey::log
