#include "learners/fast_shard.h"

#include <algorithm>

#include "base/hash.h"

namespace covey::learners {
namespace {

/// Attributes that a block of this class holds: 1, 2, 3, 4, 6, 8, 12, 16, ...
constexpr std::uint32_t attribute_room(std::uint8_t size_class) {
  if (size_class <= 4) return size_class;
  const std::uint32_t step = size_class - 5u;
  return (step % 2 == 0 ? 6u : 8u) << (step / 2);
}
constexpr std::uint8_t kAttributeClassMax = 4 + 2 * 14;  // holds 65,536

using AttributeWord = std::uint64_t __attribute__((may_alias));

}  // namespace

// ---- Finding and adding rows

// That costs two or three cache misses a learner (slot, stored name): they are overlapped by
// walking kLookahead learners in steps, each of which asks for what the next one reads.
void Shard::resolve(std::span<const Candidate> learners, const events::Dictionary& names,
                    std::vector<std::uint32_t>& rows) {
  rows.clear();
  for (std::size_t begin = 0; begin < learners.size(); begin += kLookahead) {
    const auto block = learners.subspan(begin, std::min(kLookahead, learners.size() - begin));
    for (const Candidate& c : block) index_.prefetch(c.hash);
    for (const Candidate& c : block) {
      if (const std::uint32_t row = index_.guess(c.hash); row != kUnresolved) {
        __builtin_prefetch(&name_slot(row));
      }
    }
    for (const Candidate& c : block) rows.push_back(find_or_add(c, names));
  }
}

std::uint32_t Shard::find_or_add(const Candidate& learner, const events::Dictionary& names) {
  if (!learner.name.is_long()) {
    const std::uint32_t found = index_.find(
        learner.hash, [&](std::uint32_t row) { return name_slot(row) == learner.name; });
    return found != kUnresolved ? found : add(learner.hash, learner.name);
  }
  const std::string_view text = names[learner.name.number()];
  const std::uint32_t found =
      index_.find(learner.hash, [&](std::uint32_t row) { return name(row) == text; });
  if (found != kUnresolved) return found;
  return add(learner.hash, Name::elsewhere(long_names_.intern(text)));
}

std::uint32_t Shard::add(std::uint64_t hash, const Name& name) {
  const std::uint32_t index = size_.load(std::memory_order_relaxed);
  if (index % kRowsPerChunk == 0) {
    rows_.extend(1);
    names_.extend(1);
  }
  ::new (&row(index)) Row();
  ::new (&name_slot(index)) Name(name);
  size_.store(index + 1, std::memory_order_release);
  index_.insert(hash, index, [this](std::uint32_t i) { return hash64(this->name(i)); });
  return index;
}

// ---- Attributes

void Shard::set_attribute(std::uint32_t index, const Attribute& fresh, const Names& names) {
  Row& stored = row(index);
  Row next = stored;
  const auto entry = [this](Handle handle, std::uint32_t i) {
    return reinterpret_cast<AttributeWord*>(attribute_blocks_.at(handle)) + std::size_t{i} * 2;
  };
  const auto write = [&](Handle handle, std::uint32_t i, const Attribute& a) {
    AttributeWord* words = entry(handle, i);
    __atomic_store_n(words, std::uint64_t{a.value} << 32 | a.key, __ATOMIC_RELEASE);
    __atomic_store_n(words + 1, static_cast<std::uint64_t>(a.time_us), __ATOMIC_RELEASE);
  };
  std::uint32_t at = 0;
  for (; at < next.attributes_count; ++at) {
    if (static_cast<std::uint32_t>(*entry(next.attributes_handle, at)) == fresh.key) break;
  }
  if (at < next.attributes_count) {
    AttributeWord* words = entry(next.attributes_handle, at);
    const auto old_time = static_cast<std::int64_t>(words[1]);
    const auto old_value = static_cast<std::uint32_t>(words[0] >> 32);
    // The last writer by time wins; of two at one instant the larger text, whatever came first.
    if (fresh.time_us < old_time) return;
    if (fresh.time_us == old_time && names[fresh.value] <= names[old_value]) return;
    write(next.attributes_handle, at, fresh);  // key and value are one word; readers need no more
    return;
  }
  COVEY_CHECK(next.attributes_count < UINT16_MAX);
  if (next.attributes_count == attribute_room(next.attributes_class)) {
    const auto larger = static_cast<std::uint8_t>(next.attributes_class + 1);
    const Handle handle =
        attribute_blocks_.allocate(larger, attribute_room(larger) * sizeof(Attribute));
    for (std::uint32_t i = 0; i < next.attributes_count; ++i) {
      const AttributeWord* words = entry(next.attributes_handle, i);
      write(handle, i,
            {static_cast<std::uint32_t>(words[0]), static_cast<std::uint32_t>(words[0] >> 32),
             static_cast<std::int64_t>(words[1])});
    }
    const Handle old = next.attributes_handle;
    const std::uint8_t old_class = next.attributes_class;
    write(handle, next.attributes_count, fresh);
    next.attributes_handle = handle;
    next.attributes_class = larger;
    ++next.attributes_count;
    write_row(stored, next);
    if (old != 0) attribute_blocks_.release(old_class, old);
    return;
  }
  write(next.attributes_handle, next.attributes_count, fresh);
  ++next.attributes_count;
  write_row(stored, next);
}

std::vector<Attribute> Shard::attributes(std::uint32_t index) const {
  const Row& stored = row(index);
  for (;;) {
    const Row copy = read_row(stored);
    std::vector<Attribute> out(copy.attributes_count);
    if (copy.attributes_handle != 0) {
      const auto* words =
          reinterpret_cast<const AttributeWord*>(attribute_blocks_.at(copy.attributes_handle));
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::uint64_t pair = __atomic_load_n(words + i * 2, __ATOMIC_ACQUIRE);
        out[i] = {static_cast<std::uint32_t>(pair), static_cast<std::uint32_t>(pair >> 32),
                  static_cast<std::int64_t>(__atomic_load_n(words + i * 2 + 1, __ATOMIC_ACQUIRE))};
      }
    }
    if (read_row(stored).version == copy.version) return out;
  }
}

// ---- Snapshots: columns and arenas as they lie in memory, since only this code reads them

namespace {

void save_arena(const BlockArena& arena, std::string& out) {
  const BlockArena::Books books = arena.books();
  put<std::uint64_t>(out, arena.chunk_count());
  put(out, books.chunk);
  put(out, books.chunk_used);
  put<std::uint64_t>(out, books.free.size());
  for (const Handle handle : books.free) put(out, handle);
  for (std::size_t i = 0; i < arena.chunk_count(); ++i) out.append(arena.chunk(i));
}

bool load_arena(BlockArena& arena, Taker& in) {
  const auto chunks = in.take<std::uint64_t>();
  BlockArena::Books books;
  books.chunk = in.take<std::uint64_t>();
  books.chunk_used = in.take<std::uint64_t>();
  const auto classes = in.take<std::uint64_t>();
  if (!in.ok() || classes > 1024) return false;
  for (std::uint64_t i = 0; i < classes; ++i) books.free.push_back(in.take<Handle>());
  const std::string_view raw = in.take_bytes(chunks * BlockArena::kChunkBytes);
  if (!in.ok()) return false;
  arena.restore(books, chunks);
  for (std::size_t i = 0; i < chunks; ++i) {
    std::memcpy(arena.chunk_for_restore(i), raw.data() + i * BlockArena::kChunkBytes,
                BlockArena::kChunkBytes);
  }
  return true;
}

}  // namespace

void save_names(const Names& names, std::string& out) {
  put<std::uint64_t>(out, names.size());
  for (std::uint32_t i = 0; i < names.size(); ++i) {
    put<std::uint32_t>(out, static_cast<std::uint32_t>(names[i].size()));
    out.append(names[i]);
  }
}

bool load_names(Names& names, Taker& in) {
  const auto count = in.take<std::uint64_t>();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const auto length = in.take<std::uint32_t>();
    const std::string_view text = in.take_bytes(length);
    if (!in.ok() || names.intern(text) != i) return false;
  }
  return in.ok();
}

void Shard::save(std::string& out) const {
  put<std::uint64_t>(out, size());
  for (std::uint32_t i = 0; i < size(); i += kRowsPerChunk) {
    const std::size_t rows = std::min<std::size_t>(kRowsPerChunk, size() - i);
    out.append(reinterpret_cast<const char*>(&row(i)), rows * sizeof(Row));
  }
  for (std::uint32_t i = 0; i < size(); i += kRowsPerChunk) {
    const std::size_t rows = std::min<std::size_t>(kRowsPerChunk, size() - i);
    out.append(reinterpret_cast<const char*>(&name_slot(i)), rows * sizeof(Name));
  }
  save_names(long_names_, out);
  save_arena(blocks_, out);
  save_arena(attribute_blocks_, out);
}

bool Shard::load(std::string_view bytes, std::uint32_t attribute_names) {
  Taker in(bytes);
  const auto count = in.take<std::uint64_t>();
  if (count > kUnresolved) return false;
  const std::string_view rows = in.take_bytes(count * sizeof(Row));
  const std::string_view slots = in.take_bytes(count * sizeof(Name));
  if (!in.ok() || !load_names(long_names_, in) || !load_arena(blocks_, in) ||
      !load_arena(attribute_blocks_, in) || !in.done()) {
    return false;
  }
  const auto inside = [](const BlockArena& arena, Handle handle, std::size_t size) {
    return std::size_t{handle} * 8 + size <= arena.chunk_count() * BlockArena::kChunkBytes;
  };
  index_.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto index = static_cast<std::uint32_t>(i);
    if (index % kRowsPerChunk == 0) {
      rows_.extend(1);
      names_.extend(1);
    }
    std::memcpy(static_cast<void*>(&row(index)), rows.data() + i * sizeof(Row), sizeof(Row));
    std::memcpy(static_cast<void*>(&name_slot(index)), slots.data() + i * sizeof(Name),
                sizeof(Name));
    const Row& r = row(index);
    const Name& slot = name_slot(index);
    if (slot.is_long() ? slot.number() >= long_names_.size() : !slot.valid()) return false;
    // The checksum was right, so this is only against a snapshot of other code: no handle may
    // lead outside.
    if (!Capabilities::valid(r.capabilities_class) || !Domains::valid(r.domains_class) ||
        r.attributes_class > kAttributeClassMax ||
        r.capabilities_count > Capabilities::capacity(r.capabilities_class) ||
        r.domains_count > Domains::capacity(r.domains_class) ||
        r.attributes_count > attribute_room(r.attributes_class) ||
        !inside(blocks_, r.capabilities_handle, Capabilities::bytes(r.capabilities_class)) ||
        !inside(blocks_, r.domains_handle, Domains::bytes(r.domains_class)) ||
        !inside(attribute_blocks_, r.attributes_handle, r.attributes_count * sizeof(Attribute))) {
      return false;
    }
    if (r.attributes_count > 0) {
      for (const Attribute& a : attributes(index)) {
        if (a.key >= attribute_names || a.value >= attribute_names) return false;
      }
    }
    size_.store(index + 1, std::memory_order_release);
    index_.insert(hash64(name(index)), index, [this](std::uint32_t n) { return hash64(name(n)); });
  }
  return true;
}

}  // namespace covey::learners
