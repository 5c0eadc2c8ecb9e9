#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace covey {
namespace {

std::align_val_t page_for(std::size_t bytes) {
  return std::align_val_t{
      bytes >= Pages::kHuge ? Pages::kHuge : static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))};
}

}  // namespace

Pages::Pages(std::size_t bytes) {
  if (bytes == 0) return;
  const auto page = static_cast<std::size_t>(page_for(bytes));
  const std::size_t size = (bytes + page - 1) / page * page;
  data_ = static_cast<std::byte*>(::operator new(size, std::align_val_t{page}));
  size_ = size;
  // Where the kernel has none, small pages do as well.
  if (page == kHuge) ::madvise(data_, size_, MADV_HUGEPAGE);
}

Pages::~Pages() {
  if (data_ != nullptr) ::operator delete(data_, page_for(size_));
}

}  // namespace covey
