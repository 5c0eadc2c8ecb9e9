#include "control/archive.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <functional>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "base/time.h"

namespace covey::control {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownMax = 1'000;
constexpr std::size_t kBytesMax = std::size_t{16} << 20;

std::string sha256_of(std::string_view text) {
  Digest out;
  crypto_hash_sha256(out.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
  return hex(out);
}

std::string note_key(std::uint64_t number) {
  return fmt::format("report/{}", number);
}

std::string path_of(const std::string& folder, std::uint64_t number, const std::string& name,
                    bool html) {
  return fmt::format("{}/{:06}-{}.{}", folder, number, name, html ? "html" : "md");
}

/// What the journal says of a report; nothing: it was never written.
Result<std::optional<Json>> note_of(const Journal& journal, std::uint64_t number) {
  const auto kept = COVEY_TRY(journal.get(note_key(number)));
  if (!kept) return std::nullopt;
  Json note = Json::parse(*kept, nullptr, false);
  for (const char* member : {"kind", "subject", "title", "verdict", "at", "name", "html", "md"}) {
    if (!note.is_object() || !note.contains(member) || !note[member].is_string()) {
      return fail(Errc::kCorrupt,
                  fmt::format("the journal's note of report {} is damaged", number));
    }
  }
  return note;
}

Result<std::string> read_whole(const std::string& path) {
  const auto gone = [](int error) {
    return fail(error == ENOENT  ? Errc::kNotFound
                : error == ELOOP ? Errc::kCorrupt
                                 : Errc::kFailed,
                fmt::format("the report's file: {}", std::system_category().message(error)));
  };
  // A link would lead out of the folder.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return gone(errno);
  struct stat about{};
  std::string out;
  int error = ::fstat(fd, &about) == 0 ? 0 : errno;
  const bool plain =
      error == 0 && S_ISREG(about.st_mode) && about.st_size <= static_cast<off_t>(kBytesMax);
  if (plain) {
    out.resize(static_cast<std::size_t>(about.st_size));
    std::size_t at = 0;
    while (at < out.size()) {
      const ssize_t got = ::read(fd, out.data() + at, out.size() - at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) error = errno;
      if (got <= 0) break;
      at += static_cast<std::size_t>(got);
    }
    out.resize(at);
  }
  ::close(fd);
  if (error != 0) return gone(error);
  if (!plain) return fail(Errc::kCorrupt, "the report's file is no plain file of its size");
  return out;
}

}  // namespace

Result<void> archive_report(Journal& journal, const std::string& folder, std::uint64_t number,
                            const Report& report, const rollout::WriteReport& what, Time at) {
  COVEY_TRY_VOID(write_report(folder, number, report));
  const Json note = {{"kind", rollout::name(what.kind)},
                     {"subject", what.subject},
                     {"title", report.title},
                     {"verdict", report.verdict},
                     {"at", format_time(at)},
                     {"name", report.name},
                     {"html", sha256_of(to_html(report))},
                     {"md", sha256_of(to_markdown(report))}};
  return journal.put(note_key(number), note.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Result<Json> archived_reports(const Journal& journal, const std::string& folder) {
  std::vector<std::pair<std::uint64_t, std::string>> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::uint64_t number = 0;
    const auto [rest, wrong] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (wrong != std::errc() || !name.ends_with(".html") || rest[0] != '-') continue;
    files.emplace_back(number, name);
  }
  // A folder that is not there holds none.
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(Errc::kFailed, fmt::format("{}: {}", folder, error.message()));
  }
  std::ranges::sort(files, std::greater());
  Json list = Json::array();
  for (const auto& [number, name] : files) {
    if (list.size() == kShownMax) break;
    const auto note = COVEY_TRY(note_of(journal, number));
    if (!note) continue;
    const std::string written = path_of({}, number, (*note)["name"].get<std::string>(), true);
    if (written.substr(1) != name) continue;
    Json one = {{"number", number}};
    for (const char* member : {"kind", "subject", "title", "verdict", "at"}) {
      one[member] = (*note)[member];
    }
    list.push_back(std::move(one));
  }
  return Json{{"reports", std::move(list)}};
}

Result<std::string> archived_report(const Journal& journal, const std::string& folder,
                                    std::uint64_t number, bool html) {
  const auto note = COVEY_TRY(note_of(journal, number));
  if (!note) return fail(Errc::kNotFound, fmt::format("no report {} was written", number));
  std::string text =
      COVEY_TRY(read_whole(path_of(folder, number, (*note)["name"].get<std::string>(), html)));
  if (sha256_of(text) != (*note)[html ? "html" : "md"].get<std::string>()) {
    return fail(Errc::kCorrupt,
                fmt::format("the file of report {} is another than was written", number));
  }
  return text;
}

}  // namespace covey::control
