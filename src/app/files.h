#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace covey::app {

/// Reads a file, or standard input for "-", in pieces; ".zst" is decompressed on the way. kRejected
/// for what is compressed otherwise.
class FileReader {
 public:
  static Result<FileReader> open(const std::filesystem::path& path);
  FileReader(FileReader&&) noexcept;
  FileReader& operator=(FileReader&&) noexcept;
  ~FileReader();

  /// Appends up to about `bytes` to `out`; false at the end.
  Result<bool> read(std::string& out, std::size_t bytes);
  std::uint64_t bytes_total() const;  ///< of the file as it lies on disk; 0 when unknown
  std::uint64_t bytes_done() const;

 private:
  struct State;
  explicit FileReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// The whole of a (small) file; kRejected beyond `bytes_max`.
Result<std::string> read_file(const std::filesystem::path& path,
                              std::size_t bytes_max = std::size_t{64} << 20);

/// Whole, in place of what was there.
Result<void> write_file(const std::string& path, std::string_view text);

}  // namespace covey::app
