#include "haproxy/process.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "haproxy/runtime.h"

namespace covey::haproxy {
namespace {

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// Runs a command to its end and answers what it said on stderr; kRejected with the same where its
/// exit code is not 0.
Result<std::string> run(std::vector<std::string> args, const std::string& said) {
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  // A file and not a pipe: the background process keeps it open long after its parent has gone.
  posix_spawn_file_actions_addopen(&actions, 1, said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  // It outlives us: with our listening sockets in its hands, nobody could bind them again.
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return fail(Errc::kFailed,
                fmt::format("can't run {}: {}{}", args[0], std::strerror(error),
                            error == ENOENT ? "; is the package haproxy installed?" : ""));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) {
      return fail(Errc::kFailed, fmt::format("{}: {}", args[0], std::strerror(errno)));
    }
  }
  std::string words = read_all(said);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return fail(Errc::kRejected, fmt::format("{} says: {}", args[0], words));
  }
  return words;
}

Result<void> write_if_absent(const std::string& path, std::string_view text) {
  if (::access(path.c_str(), F_OK) == 0) return {};
  return write_atomically(path, text);
}

}  // namespace

Result<Running> ensure_running(const plan::Plan& plan, const Settings& settings,
                               const Program& program) {
  const std::string file = program.folder + "/haproxy.cfg";
  const std::string said = program.folder + "/haproxy.log";
  const std::string text = configuration(plan, settings);
  const Runtime runtime(settings.files, std::chrono::milliseconds(2'000));
  const auto process = runtime.process();
  if (process && read_all(file) == text) return Running::kAdopted;

  COVEY_TRY_VOID(write_if_absent(settings.files.split_map, "threshold 0\n"));
  // Checked beside the old one first: a configuration that is refused must not stand in its place.
  const std::string beside = program.folder + "/haproxy.next.cfg";
  COVEY_TRY_VOID(write_atomically(beside, text));
  COVEY_TRY(run({program.path, "-c", "-q", "-f", beside}, said));
  COVEY_TRY_VOID(write_atomically(file, text));
  ::unlink(beside.c_str());
  std::vector<std::string> start = {program.path, "-D", "-f",
                                    file,         "-p", program.folder + "/haproxy.pid"};
  if (process) {
    start.emplace_back("-sf");
    start.push_back(std::to_string(*process));
  }
  COVEY_TRY(run(std::move(start), said));
  return process ? Running::kReplaced : Running::kStarted;
}

}  // namespace covey::haproxy
