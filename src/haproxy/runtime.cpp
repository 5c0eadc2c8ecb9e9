#include "haproxy/runtime.h"

#include <cerrno>
#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

namespace covey::haproxy {
namespace {

/// Closes at the end of its scope.
struct Descriptor {
  int fd = -1;
  explicit Descriptor(int f) : fd(f) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

constexpr std::size_t kAnswerMax = std::size_t{1} << 20;

std::unexpected<Error> away(const std::string& socket, int error) {
  return fail(Errc::kRetryLater,
              fmt::format("the balancer does not answer at {}: {}", socket, std::strerror(error)));
}

/// The number behind `key` in an answer of lines.
template <typename Number>
bool find_number(std::string_view answer, std::string_view key, Number& out) {
  const std::size_t at = answer.find(key);
  if (at == std::string_view::npos) return false;
  const std::string_view rest = answer.substr(at + key.size());
  return std::from_chars(rest.data(), rest.data() + rest.size(), out).ec == std::errc();
}

}  // namespace

Result<void> write_atomically(const std::string& path, std::string_view text) {
  const std::string beside = path + ".new";
  const auto failed = [&](const char* what) {
    const int error = errno;
    ::unlink(beside.c_str());
    return fail(error == ENOSPC ? Errc::kFull : Errc::kFailed,
                fmt::format("can't {} {}: {}", what, beside, std::strerror(error)));
  };
  const Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.fd < 0) return failed("open");
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t written = ::write(file.fd, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed("write");
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file.fd) != 0) return failed("sync");
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed("rename");
  return {};
}

Result<std::string> Runtime::ask(std::string_view command) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (files_.admin_socket.size() >= sizeof address.sun_path) {
    return fail(Errc::kFailed,
                fmt::format("the path {} is too long for a socket", files_.admin_socket));
  }
  std::memcpy(address.sun_path, files_.admin_socket.data(), files_.admin_socket.size());
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.fd < 0) return away(files_.admin_socket, errno);
  timeval patience{};
  patience.tv_sec = patience_.count() / 1'000;
  patience.tv_usec = patience_.count() % 1'000 * 1'000;
  ::setsockopt(socket.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return away(files_.admin_socket, errno);
  }
  const std::string line = std::string(command) + "\n";
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t sent = ::send(socket.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return away(files_.admin_socket, errno);
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  std::string answer;
  char piece[4096];
  for (;;) {
    const ssize_t got = ::recv(socket.fd, piece, sizeof piece, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return away(files_.admin_socket, errno);
    if (got == 0) return answer;  // it closes after its answer
    answer.append(piece, static_cast<std::size_t>(got));
    if (answer.size() > kAnswerMax) return fail(Errc::kFailed, "the balancer's answer has no end");
  }
}

Result<plan::BasisPoints> Runtime::share() const {
  const std::string answer = COVEY_TRY(ask("show map " + files_.split_map));
  plan::BasisPoints share = 0;
  if (!find_number(answer, " threshold ", share) || share > plan::kEveryone) {
    return fail(Errc::kFailed, fmt::format("the balancer has no threshold in {}: '{}'; was it "
                                           "started with our configuration?",
                                           files_.split_map, answer.substr(0, 200)));
  }
  return share;
}

Result<void> Runtime::set_share(plan::BasisPoints share) const {
  COVEY_TRY_VOID(write_atomically(files_.split_map, fmt::format("threshold {}\n", share)));
  COVEY_TRY(ask(fmt::format("set map {} threshold {}", files_.split_map, share)));
  const plan::BasisPoints seen = COVEY_TRY(this->share());
  if (seen != share) {
    return fail(Errc::kFailed, fmt::format("the balancer was told {} and holds {}", share, seen));
  }
  return {};
}

Result<int> Runtime::process() const {
  const std::string answer = COVEY_TRY(ask("show info"));
  int process = 0;
  if (!find_number(answer, "\nPid: ", process)) {
    return fail(Errc::kFailed, "the balancer does not say who it is");
  }
  return process;
}

}  // namespace covey::haproxy
