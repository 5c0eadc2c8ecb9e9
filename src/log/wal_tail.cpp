#include "log/wal_tail.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <nmmintrin.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <vector>

namespace covey::log {
namespace {

// The format of RocksDB's log_format.h: blocks of 32 KiB; a chunk is a masked CRC-32C (4 bytes), a
// length (2) and a type (1), then the payload; the CRC covers type and payload.
constexpr std::size_t kBlock = 32768;
constexpr std::size_t kHeader = 7;
enum Type : std::uint8_t { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

std::uint32_t crc32c(const unsigned char* bytes, std::size_t size) {
  std::uint64_t crc = 0xffffffff;
  for (; size >= 8; bytes += 8, size -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; size > 0; ++bytes, --size) narrow = _mm_crc32_u8(narrow, *bytes);
  return ~narrow;
}

struct Chunk {
  Type type;
  std::size_t bytes;  ///< with its header
};

/// The chunk at the front of `bytes` (which ends with its block), if it is whole.
std::optional<Chunk> chunk_at(const unsigned char* bytes, std::size_t size) {
  if (size < kHeader) return std::nullopt;
  const std::size_t length = bytes[4] | std::size_t{bytes[5]} << 8;
  const std::uint8_t type = bytes[6];
  if (type < kFull || type > kLast || kHeader + length > size) return std::nullopt;
  std::uint32_t masked = 0;
  std::memcpy(&masked, bytes, 4);
  const std::uint32_t rotated = masked - 0xa282ead8u;
  const std::uint32_t stored = rotated >> 17 | rotated << 15;
  if (crc32c(bytes + 6, length + 1) != stored) return std::nullopt;
  return Chunk{static_cast<Type>(type), kHeader + length};
}

/// Walks the file block by block. Before any damage it follows records; behind it, it only looks
/// for the beginning of another one.
class Walk {
 public:
  void block(const unsigned char* bytes, std::size_t size, std::uint64_t at) {
    std::size_t offset = 0;
    while (!readable_behind_ && offset < size) {
      const std::size_t left = size - offset;
      if (size == kBlock && left < kHeader) break;  // the block's zeroed trailer
      const auto chunk = chunk_at(bytes + offset, left);
      if (!chunk) {
        // A damaged length leads nowhere, so behind damage every offset is tried.
        damaged_ = true;
        ++offset;
        continue;
      }
      const bool begins = chunk->type == kFull || chunk->type == kFirst;
      if (!damaged_ && begins == inside_) damaged_ = true;
      if (damaged_ && begins) readable_behind_ = true;
      inside_ = chunk->type == kFirst || chunk->type == kMiddle;
      offset += chunk->bytes;
      if (!damaged_ && !inside_) whole_ = at + offset;
    }
  }
  std::uint64_t whole() const { return whole_; }
  bool readable_behind() const { return readable_behind_; }

 private:
  std::uint64_t whole_ = 0;
  bool inside_ = false;
  bool damaged_ = false;
  bool readable_behind_ = false;
};

class File {
 public:
  File(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<Error> os_failure(std::string_view doing, const std::filesystem::path& path,
                                  int error) {
  return fail(Errc::kFailed, fmt::format("{} {}: {}", doing, path.string(), std::strerror(error)));
}

}  // namespace

Result<std::optional<WalTail>> inspect_wal_tail(const std::filesystem::path& dir) {
  std::error_code error;
  std::optional<WalTail> newest;
  std::uint64_t newest_number = 0;
  for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end;
       it.increment(error)) {
    const std::string stem = it->path().stem().string();
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(stem.data(), stem.data() + stem.size(), number);
    if (it->path().extension() != ".log" || parsed.ptr != stem.data() + stem.size()) continue;
    std::error_code gone;
    const std::uint64_t size = it->file_size(gone);
    if (gone || size == 0 || (newest && number < newest_number)) continue;
    newest_number = number;
    newest = WalTail{.file = it->path()};
  }
  if (error) return os_failure("cannot list", dir, error.value());
  if (!newest) return newest;

  const File file(newest->file, O_RDONLY | O_CLOEXEC);
  if (file.get() < 0) {
    if (errno == ENOENT) return std::optional<WalTail>();  // a running writer has just dropped it
    return os_failure("cannot open", newest->file, errno);
  }
  Walk walk;
  std::vector<unsigned char> buffer(64 * kBlock);
  for (;;) {
    std::size_t filled = 0;
    while (filled < buffer.size()) {
      const ssize_t got = ::read(file.get(), buffer.data() + filled, buffer.size() - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return os_failure("cannot read", newest->file, errno);
      if (got == 0) break;
      filled += static_cast<std::size_t>(got);
    }
    for (std::size_t at = 0; at < filled; at += kBlock) {
      walk.block(buffer.data() + at, std::min(kBlock, filled - at), newest->file_bytes + at);
    }
    newest->file_bytes += filled;
    if (filled < buffer.size()) break;
  }
  newest->whole_bytes = walk.whole();
  newest->readable_behind = walk.readable_behind();
  return newest;
}

Result<void> cut_wal_tail(const WalTail& tail) {
  const File file(tail.file, O_WRONLY | O_CLOEXEC);
  if (file.get() < 0) return os_failure("cannot open", tail.file, errno);
  if (::ftruncate(file.get(), static_cast<off_t>(tail.whole_bytes)) != 0 ||
      ::fsync(file.get()) != 0) {
    return os_failure("cannot cut the torn tail of", tail.file, errno);
  }
  return {};
}

}  // namespace covey::log
