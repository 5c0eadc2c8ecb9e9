#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace covey {

/// Memory in huge pages where it is large and the kernel has some: half a gigabyte that is read
/// here and there costs a miss of the address cache at each read otherwise, and each 4 KiB of it a
/// fault when first written. It is the program's allocator's, which may keep what is freed, and
/// holds anything: on a virtual machine a page fresh from the kernel took a nanosecond for each
/// byte.
class Pages {
 public:
  Pages() = default;
  /// Throws std::bad_alloc. The memory is aligned to a page, from kHuge bytes on to a huge one.
  explicit Pages(std::size_t bytes);
  Pages(Pages&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Pages& operator=(Pages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Pages();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

  static constexpr std::size_t kHuge = std::size_t{2} << 20;

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Gives back the memory that a string or vector holds. Assigning an empty one does not: a vector
/// keeps its room at `= {}`, and a string of libstdc++ at `= std::string()`, too.
template <typename T>
void let_go(T& held) {
  T().swap(held);
}

/// Room for numbers that are written before they are read: it is neither cleared nor copied when it
/// grows, and used again by whoever comes next.
template <typename T>
class Room {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  /// `count` of them, holding anything. What was taken before is gone.
  std::span<T> take(std::size_t count) {
    if (count * sizeof(T) > pages_.size()) {
      pages_ = Pages();  // first, so that both are never held
      pages_ = Pages(count * sizeof(T));
    }
    return {reinterpret_cast<T*>(pages_.data()), count};
  }
  std::size_t bytes() const { return pages_.size(); }

 private:
  Pages pages_;
};

}  // namespace covey
