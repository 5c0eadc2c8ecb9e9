#include "app/files.h"

#include <zstd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace covey::app {
namespace {

/// What people send unawares, by its first bytes; zstd where the name does not end in .zst.
struct Packed {
  std::string_view magic, name, unpack;
};
constexpr std::array<Packed, 4> kPacked = {{{"\x1f\x8b", "gzip", "gunzip"},
                                            {"PK\x03\x04", "zip", "unzip"},
                                            {"\xfd\x37zXZ", "xz", "unxz"},
                                            {"\x28\xb5\x2f\xfd", "zstd", "unzstd"}}};

}  // namespace

struct FileReader::State {
  std::FILE* file = nullptr;
  std::string path;
  std::uint64_t total = 0, done = 0;
  ZSTD_DStream* zstd = nullptr;
  std::vector<char> input;
  std::size_t input_at = 0, input_size = 0;
  bool frame_open = false;  // a frame has begun and not ended

  ~State() {
    if (file != nullptr && file != stdin) std::fclose(file);
    if (zstd != nullptr) ZSTD_freeDStream(zstd);
  }
};

FileReader::FileReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileReader::FileReader(FileReader&&) noexcept = default;
FileReader& FileReader::operator=(FileReader&&) noexcept = default;
FileReader::~FileReader() = default;

Result<FileReader> FileReader::open(const std::filesystem::path& path) {
  auto state = std::make_unique<State>();
  state->path = path.string();
  if (path == "-") {
    state->file = stdin;
    return FileReader(std::move(state));
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return fail(Errc::kRejected,
                fmt::format("{} is a folder; name the files in it", path.string()));
  }
  state->file = std::fopen(path.c_str(), "rb");
  if (state->file == nullptr) {
    return fail(Errc::kNotFound,
                fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
  }
  if (const auto size = std::filesystem::file_size(path, ignored); !ignored) state->total = size;
  if (path.extension() == ".zst") {
    state->zstd = ZSTD_createDStream();
    state->input.resize(ZSTD_DStreamInSize());
  }
  return FileReader(std::move(state));
}

Result<bool> FileReader::read(std::string& out, std::size_t bytes) {
  State& s = *state_;
  const std::size_t before = out.size();
  out.resize(before + bytes);
  std::size_t filled = 0;
  const auto failed = [&] {
    return fail(Errc::kFailed, fmt::format("reading {}: {}", s.path, std::strerror(errno)));
  };
  if (s.zstd == nullptr) {
    const bool first = s.done == 0;
    filled = std::fread(out.data() + before, 1, bytes, s.file);
    s.done += filled;
    if (first) {
      for (const auto& [magic, name, unpack] : kPacked) {
        if (!std::string_view(out).substr(before, filled).starts_with(magic)) continue;
        return fail(Errc::kRejected,
                    fmt::format("{} is compressed by {}; unpack it first, with {}",
                                s.path == "-" ? "standard input" : s.path, name, unpack));
      }
    }
    if (filled < bytes && std::ferror(s.file) != 0) return failed();
  } else {
    while (filled < bytes) {
      if (s.input_at == s.input_size) {
        s.input_size = std::fread(s.input.data(), 1, s.input.size(), s.file);
        s.input_at = 0;
        s.done += s.input_size;
        if (s.input_size == 0) {
          if (std::ferror(s.file) != 0) return failed();
          if (s.frame_open) {
            return fail(Errc::kRejected, fmt::format("{} ends in the middle of its zstd stream; "
                                                     "copy or compress it again",
                                                     s.path));
          }
          break;
        }
      }
      ZSTD_inBuffer in{s.input.data(), s.input_size, s.input_at};
      ZSTD_outBuffer to{out.data() + before, bytes, filled};
      const std::size_t hint = ZSTD_decompressStream(s.zstd, &to, &in);
      if (ZSTD_isError(hint) != 0) {
        return fail(Errc::kRejected,
                    fmt::format("{} is not a sound zstd file ({}); copy or compress it again",
                                s.path, ZSTD_getErrorName(hint)));
      }
      s.frame_open = hint != 0;
      s.input_at = in.pos;
      filled = to.pos;
    }
  }
  out.resize(before + filled);
  return filled > 0;
}

std::uint64_t FileReader::bytes_total() const {
  return state_->total;
}
std::uint64_t FileReader::bytes_done() const {
  return state_->done;
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max) {
  auto reader = COVEY_TRY(FileReader::open(path));
  std::string text;
  while (COVEY_TRY(reader.read(text, std::size_t{1} << 20))) {
    if (text.size() > bytes_max) {
      return fail(Errc::kRejected,
                  fmt::format("{} is larger than {} MiB", path.string(), bytes_max >> 20));
    }
  }
  return text;
}

Result<void> write_file(const std::string& path, std::string_view text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  bool fine = file != nullptr;
  if (fine) fine = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) fine = std::fclose(file) == 0 && fine;
  if (!fine) return fail(Errc::kFailed, fmt::format("cannot write {}", path));
  return {};
}

}  // namespace covey::app
