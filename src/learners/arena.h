#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/result.h"

namespace covey::learners {

/// Where an engine's memory comes from: slabs of huge pages that all its chunks share, so that an
/// engine of few learners has few of them. Given back when the owner goes. Any thread may take.
/// They grow with the engine: of what one engine gave back the allocator cuts no pieces for the
/// next that are small beside it, but goes to the kernel for more.
class Slabs {
 public:
  /// Zeroed, at 64 bytes. Throws std::bad_alloc.
  std::byte* take(std::size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    std::byte* const taken = cut(bytes);
    std::memset(taken, 0, bytes);
    return taken;
  }
  /// Bytes that nobody has taken.
  std::size_t spare() const {
    const std::lock_guard lock(mutex_);
    return bytes_ - taken_;
  }

 private:
  static constexpr std::size_t kSlab = Pages::kHuge;
  static constexpr std::size_t kSlabDivisor = 32;  // a slab is a 32nd of all before it
  std::byte* cut(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    taken_ += bytes;
    if (bytes > kSlab / 4) return add(bytes);  // of its own: nothing is wasted
    if (left_ < bytes) {
      const std::size_t slab = std::max(kSlab, bytes_ / kSlabDivisor / kSlab * kSlab);
      next_ = add(slab);
      left_ = slab;
    }
    left_ -= bytes;
    return std::exchange(next_, next_ + bytes);
  }
  std::byte* add(std::size_t bytes) {
    bytes_ += slabs_.emplace_back(bytes).size();
    return slabs_.back().data();
  }
  mutable std::mutex mutex_;
  std::vector<Pages> slabs_;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0, bytes_ = 0, taken_ = 0;
};

/// Memory in fixed chunks that never move and are never given back while the slabs live.
///
/// One thread grows it; any number may follow a number to its address meanwhile, for the directory
/// is replaced, never changed, and old directories are kept (together no larger than the current).
class Chunks {
 public:
  Chunks(Slabs& slabs, std::size_t chunk_bytes) : slabs_(slabs), chunk_bytes_(chunk_bytes) {}
  Chunks(const Chunks&) = delete;
  Chunks& operator=(const Chunks&) = delete;

  std::byte* at(std::size_t chunk) const {
    return directory_.load(std::memory_order_acquire)[chunk];
  }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return bytes_; }

  /// Appends `count` chunks of zeros that lie side by side and returns the number of the first.
  std::size_t extend(std::size_t count) {
    std::byte* const run = slabs_.take(chunk_bytes_ * count);
    if (size_ + count > capacity_) grow_directory(size_ + count);
    std::byte** directory = directory_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < count; ++i) directory[size_ + i] = run + i * chunk_bytes_;
    bytes_ += chunk_bytes_ * count;
    const std::size_t first = size_;
    size_ += count;
    return first;
  }

 private:
  void grow_directory(std::size_t wanted) {
    std::size_t capacity = capacity_ == 0 ? 16 : capacity_;
    while (capacity < wanted) capacity *= 2;
    auto fresh = std::make_unique<std::byte*[]>(capacity);
    if (size_ > 0) {
      std::memcpy(fresh.get(), directory_.load(std::memory_order_relaxed),
                  size_ * sizeof(std::byte*));
    }
    directory_.store(fresh.get(), std::memory_order_release);
    directories_.push_back(std::move(fresh));
    bytes_ += capacity * sizeof(std::byte*);
    capacity_ = capacity;
  }

  Slabs& slabs_;
  std::size_t chunk_bytes_;
  std::size_t size_ = 0, capacity_ = 0, bytes_ = 0;
  std::atomic<std::byte**> directory_{nullptr};
  std::vector<std::unique_ptr<std::byte*[]>> directories_;
};

/// Where a block lies in a BlockArena, in units of 8 bytes. 0 is no block.
using Handle = std::uint32_t;

/// Blocks of a few sizes ("classes"), reused when freed.
///
/// Memory is never unmapped, so a reader that lost a race reads garbage, not a hole; the sequence
/// lock of the row it came from tells it so. 32 GiB at most.
class BlockArena {
 public:
  explicit BlockArena(Slabs& slabs) : chunks_(slabs, kChunkBytes) {}

  std::byte* at(Handle handle) const {
    return chunks_.at(handle / kChunkUnits) + std::size_t{handle % kChunkUnits} * 8;
  }

  /// A block of `bytes` (a multiple of 8, always the same for a class). Contents are undefined.
  Handle allocate(std::size_t size_class, std::size_t bytes) {
    if (size_class < free_.size() && free_[size_class] != 0) {
      const Handle handle = free_[size_class];
      std::memcpy(&free_[size_class], at(handle), sizeof(Handle));
      return handle;
    }
    const std::size_t units = bytes / 8;
    if (chunks_.size() == 0) {
      chunk_ = chunks_.extend(1);
      chunk_used_ = 1;  // handle 0 stays free
    }
    if (units > kChunkUnits / 4) {  // a run of its own: no large block wastes a chunk's tail
      const std::size_t count = (units + kChunkUnits - 1) / kChunkUnits;
      return static_cast<Handle>(chunks_.extend(count) * kChunkUnits);
    }
    if (chunk_used_ + units > kChunkUnits) {
      chunk_ = chunks_.extend(1);
      chunk_used_ = 0;
    }
    const auto handle = static_cast<Handle>(chunk_ * kChunkUnits + chunk_used_);
    chunk_used_ += units;
    return handle;
  }

  void release(std::size_t size_class, Handle handle) {
    if (free_.size() <= size_class) free_.resize(size_class + 1, 0);
    // Through an atomic: a late reader may be looking at these very bytes.
    __atomic_store_n(reinterpret_cast<Handle*>(at(handle)), free_[size_class], __ATOMIC_RELAXED);
    free_[size_class] = handle;
  }

  std::size_t bytes() const { return chunks_.bytes(); }

  static constexpr std::size_t kChunkBytes = std::size_t{64} << 10;

  // For snapshots: the raw chunks and the free lists.
  std::size_t chunk_count() const { return chunks_.size(); }
  std::string_view chunk(std::size_t i) const {
    return {reinterpret_cast<const char*>(chunks_.at(i)), kChunkBytes};
  }
  struct Books {
    std::uint64_t chunk = 0, chunk_used = kChunkUnits;
    std::vector<Handle> free;
  };
  Books books() const { return {chunk_, chunk_used_, free_}; }
  /// Into a fresh arena: `raw` is the chunks one after the other. One run, since large blocks must
  /// lie side by side.
  void restore(const Books& books, std::size_t chunks) {
    COVEY_CHECK(chunks_.size() == 0);
    if (chunks > 0) chunks_.extend(chunks);
    chunk_ = books.chunk;
    chunk_used_ = books.chunk_used;
    free_ = books.free;
  }
  std::byte* chunk_for_restore(std::size_t i) { return chunks_.at(i); }

 private:
  static constexpr std::size_t kChunkUnits = kChunkBytes / 8;
  Chunks chunks_;
  std::size_t chunk_ = 0, chunk_used_ = kChunkUnits;
  std::vector<Handle> free_;
};

/// Distinct strings numbered from 0, kept for ever. One thread interns; any may read.
class Names {
 public:
  explicit Names(Slabs& slabs)
      : entries_(slabs, kEntriesPerChunk * sizeof(std::string_view)), text_(slabs, kTextBytes) {}

  std::uint32_t intern(std::string_view text);
  /// The number of a text that was interned; COVEY_CHECKs that it was. Not beside intern().
  std::uint32_t find(std::string_view text) const;
  std::string_view operator[](std::uint32_t index) const {
    const auto* chunk =
        reinterpret_cast<const std::string_view*>(entries_.at(index / kEntriesPerChunk));
    return chunk[index % kEntriesPerChunk];
  }
  std::uint32_t size() const { return size_; }
  std::size_t bytes() const {
    return entries_.bytes() + text_.bytes() + slots_.capacity() * sizeof(slots_[0]);
  }

 private:
  void grow();
  static constexpr std::size_t kEntriesPerChunk = 1024;
  static constexpr std::size_t kTextBytes = std::size_t{16} << 10;
  Chunks entries_, text_;
  std::size_t text_chunk_ = 0, text_used_ = kTextBytes;
  std::uint32_t size_ = 0;
  std::vector<std::uint64_t> slots_;  // high 32 bits of the hash, low 32: index + 1; 0 is free
};

}  // namespace covey::learners
