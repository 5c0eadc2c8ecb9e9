#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace covey::testing {

/// The program under test: COVEY_BINARY, or the one built beside the tests.
inline std::string covey_binary() {
  const char* named = std::getenv("COVEY_BINARY");
#ifdef COVEY_PROGRAM
  return named != nullptr ? named : COVEY_PROGRAM;
#else
  return named != nullptr ? named : "";
#endif
}

/// A folder that goes with the test.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "covey-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

/// A child process with its output in pipes, killed with its owner, always by pid.
class Process {
 public:
  explicit Process(std::vector<std::string> args) {
    int out[2], err[2];
    if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) std::abort();
    std::vector<char*> argv;
    for (auto& a : args) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], 1);
      ::dup2(err[1], 2);
      const int null = ::open("/dev/null", O_RDONLY);
      ::dup2(null, 0);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(out[1]);
    ::close(err[1]);
    out_ = out[0];
    err_ = err[0];
  }
  ~Process() {
    kill(SIGKILL);
    wait();
    ::close(out_);
    ::close(err_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int pid() const { return pid_; }
  void kill(int signal) {
    if (pid_ > 0) ::kill(pid_, signal);
  }
  /// Reads to the end of both streams, then reaps. The exit code; 128 + signal when killed.
  int wait() {
    if (pid_ <= 0) return code_;
    pump([] { return false; }, std::chrono::minutes(5));
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code_;
  }
  /// Reads until stderr has a line with `text` and returns the line; nothing at the end or when
  /// the time is over.
  std::optional<std::string> wait_for(std::string_view text,
                                      std::chrono::seconds limit = std::chrono::seconds(60)) {
    std::optional<std::string> line;
    pump(
        [&] {
          const std::size_t at = stderr_.find(text);
          if (at == std::string::npos) return false;
          const std::size_t end = stderr_.find('\n', at);
          if (end == std::string::npos) return false;
          const std::size_t begin = stderr_.rfind('\n', at);
          const std::size_t from = begin == std::string::npos ? 0 : begin + 1;
          line = stderr_.substr(from, end - from);
          return true;
        },
        limit);
    return line;
  }
  const std::string& out() const { return stdout_; }
  const std::string& err() const { return stderr_; }

 private:
  template <typename Done>
  void pump(Done done, std::chrono::milliseconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    bool out_open = true, err_open = true;
    while (!done() && (out_open || err_open) && std::chrono::steady_clock::now() < deadline) {
      pollfd fds[2] = {{out_open ? out_ : -1, POLLIN, 0}, {err_open ? err_ : -1, POLLIN, 0}};
      if (::poll(fds, 2, 100) <= 0) continue;
      const auto take = [](const pollfd& fd, std::string& to, bool& open) {
        if (fd.fd < 0 || fd.revents == 0) return;
        char buffer[65536];
        const ssize_t got = ::read(fd.fd, buffer, sizeof buffer);
        if (got > 0) {
          to.append(buffer, static_cast<std::size_t>(got));
        } else {
          open = false;
        }
      };
      take(fds[0], stdout_, out_open);
      take(fds[1], stderr_, err_open);
    }
  }

  pid_t pid_ = 0;
  int out_ = -1, err_ = -1, code_ = -1;
  std::string stdout_, stderr_;
};

struct Finished {
  int code;
  std::string out, err;
};

/// Runs the program to its end.
inline Finished run_covey(std::vector<std::string> args) {
  args.insert(args.begin(), covey_binary());
  Process process(std::move(args));
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

/// A `covey serve` on a free port, ready when constructed (port() is 0 if it did not come up).
class Server {
 public:
  explicit Server(const std::string& data, std::vector<std::string> more = {}) {
    std::vector<std::string> args = {covey_binary(), "serve",    "--data",
                                     data,           "--listen", "127.0.0.1:0"};
    args.insert(args.end(), more.begin(), more.end());
    process_.emplace(std::move(args));
    if (const auto line = process_->wait_for("listening on http://")) {
      port_ = static_cast<unsigned short>(std::atoi(line->c_str() + line->rfind(':') + 1));
    }
    if (port_ != 0 && !process_->wait_for("ready")) port_ = 0;
  }
  unsigned short port() const { return port_; }
  Process& process() { return *process_; }

 private:
  std::optional<Process> process_;
  unsigned short port_ = 0;
};

}  // namespace covey::testing
