#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

namespace covey {

Mapping::Mapping(std::size_t bytes) {
  if (bytes == 0) return;
  const bool huge = bytes >= kHugePage;
  const auto page = huge ? kHugePage : static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t size = (bytes + page - 1) / page * page;
  // The kernel aligns to small pages only: a huge page more, and what is too much goes back.
  const std::size_t asked = huge ? size + kHugePage : size;
  void* const mapped =
      ::mmap(nullptr, asked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<std::byte*>(mapped);
  if (huge) {
    const std::size_t before =
        (kHugePage - reinterpret_cast<std::uintptr_t>(mapped) % kHugePage) % kHugePage;
    if (before > 0) ::munmap(begin, before);
    begin += before;
    if (const std::size_t behind = asked - before - size; behind > 0) {
      ::munmap(begin + size, behind);
    }
    // Where the kernel has none, small pages do as well.
    ::madvise(begin, size, MADV_HUGEPAGE);
  }
  data_ = begin;
  size_ = size;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace covey
