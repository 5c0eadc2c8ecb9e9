#include "app/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace covey::app {

Result<Child> Child::start(std::vector<std::string> arguments, int in, int out,
                           const std::string& err) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(Errc::kFailed, fmt::format("fork: {}", std::strerror(errno)));
  if (pid == 0) {
    // Only what is safe between fork and exec of a process with threads.
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);  // it ended before we asked
    for (const int number : {SIGINT, SIGTERM, SIGPIPE}) ::signal(number, SIG_DFL);
    const int null = ::open("/dev/null", O_RDWR);
    const int log = ::open(err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(in >= 0 ? in : null, 0);
    ::dup2(out >= 0 ? out : null, 1);
    ::dup2(log >= 0 ? log : null, 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return Child(pid);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), end_(std::move(other.end_)) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = std::exchange(other.pid_, 0);
    end_ = std::move(other.end_);
  }
  return *this;
}

Child::~Child() {
  end();
}

void Child::end() {
  if (pid_ <= 0 || end_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void Child::signal(int number) {
  if (pid_ > 0 && !end_) ::kill(pid_, number);
}

std::optional<Child::End> Child::ended() {
  if (end_ || pid_ <= 0) return end_;
  int status = 0;
  rusage used{};
  if (::wait4(pid_, &status, WNOHANG, &used) != pid_) return std::nullopt;
  const auto time = [](const timeval& t) {
    return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
  };
  end_ = End{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
             time(used.ru_utime) + time(used.ru_stime)};
  return end_;
}

}  // namespace covey::app
