#include <new>

#include "base/hash.h"
#include "learners/arena.h"

namespace covey::learners {

std::uint32_t Names::intern(std::string_view text) {
  if ((size_ + 1) * 4 > slots_.size() * 3) grow();
  const std::uint64_t hash = hash64(text);
  const std::uint64_t tag = hash & 0xffffffff00000000ULL;
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    if ((slots_[slot] & 0xffffffff00000000ULL) != tag) continue;
    const auto index = static_cast<std::uint32_t>(slots_[slot]) - 1;
    if ((*this)[index] == text) return index;
  }
  const std::size_t chunks_needed = (text.size() + kTextBytes - 1) / kTextBytes;
  char* bytes = nullptr;
  if (chunks_needed > 1) {
    bytes = reinterpret_cast<char*>(text_.at(text_.extend(chunks_needed)));
  } else {
    if (text_used_ + text.size() > kTextBytes) {
      text_chunk_ = text_.extend(1);
      text_used_ = 0;
    }
    bytes = reinterpret_cast<char*>(text_.at(text_chunk_)) + text_used_;
    text_used_ += text.size();
  }
  if (!text.empty()) std::memcpy(bytes, text.data(), text.size());
  if (size_ % kEntriesPerChunk == 0) entries_.extend(1);
  std::byte* entry =
      entries_.at(size_ / kEntriesPerChunk) + (size_ % kEntriesPerChunk) * sizeof(std::string_view);
  ::new (entry) std::string_view(bytes, text.size());
  slots_[slot] = tag | (size_ + 1);
  return size_++;
}

std::uint32_t Names::find(std::string_view text) const {
  const std::uint64_t hash = hash64(text);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    COVEY_CHECK(slots_[slot] != 0);
    if ((slots_[slot] >> 32) != (hash >> 32)) continue;
    const auto index = static_cast<std::uint32_t>(slots_[slot]) - 1;
    if ((*this)[index] == text) return index;
  }
}

void Names::grow() {
  std::vector<std::uint64_t> old(slots_.empty() ? 64 : slots_.size() * 2, 0);
  old.swap(slots_);
  const std::size_t mask = slots_.size() - 1;
  for (std::uint32_t i = 0; i < size_; ++i) {
    const std::uint64_t hash = hash64((*this)[i]);
    std::size_t slot = hash & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = (hash & 0xffffffff00000000ULL) | (i + 1);
  }
}

}  // namespace covey::learners
