// covey: the program. One subcommand a file; this one only chooses.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <boost/system/system_error.hpp>

#include "app/commands.h"
#include "base/near.h"

namespace {

/// Names what no option is called, for where a required one is missing it was often misspelt, and
/// that alone is what CLI11 would say.
void name_unknown_options(const CLI::App& cli) {
  const CLI::App* command = &cli;
  std::string path = cli.get_name();
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    path += " " + command->get_name();
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : command->get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  for (const std::string& word : cli.remaining(true)) {
    const std::string name = word.substr(0, word.find('='));
    if (!name.starts_with("-") || name == "-" || name == "--") continue;
    fmt::print(stderr, "{} is not an option of {}{}\n", name, path,
               covey::did_you_mean(name, known));
  }
}

/// Says what a library could not have of the system, and the way out.
void tell_refused(std::error_code code, std::string_view what) {
  fmt::print(stderr, "covey: {}\n", what);
  // Where standard output is a full pipe that nobody waits for, {fmt} throws the same code.
  if (code != std::errc::resource_unavailable_try_again || what.starts_with("cannot write")) return;
  fmt::print(
      stderr,
      "covey: the system gave no further thread, or no memory for its stack. Raise what "
      "limits them (ulimit -u and -v, the pids of a container, TasksMax= of a systemd unit); "
      "what was acknowledged is safe\n");
}

/// What nobody caught, in whatever thread, ends the process here and not by unwinding: RocksDB
/// starts threads on ours, and where one can't be started it would unwind into those that run.
[[noreturn]] void end_explained() {
  const std::exception_ptr thrown = std::current_exception();
  if (thrown == nullptr) std::abort();
  try {
    std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "covey: out of memory; what was acknowledged is safe\n");
  } catch (const std::system_error& error) {
    tell_refused(error.code(), error.what());
  } catch (const boost::system::system_error& error) {  // no std::system_error
    tell_refused(error.code(), error.what());
  } catch (const std::exception& error) {
    fmt::print(stderr, "covey: {}\n", error.what());
  }
  std::fflush(stdout);
  std::_Exit(static_cast<int>(covey::app::Exit::kFailed));
}

}  // namespace

int main(int argc, char** argv) {
  using namespace covey;
  using namespace covey::app;
  std::set_terminate(end_explained);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write, not the end

  CLI::App cli(
      "Covey finds behavioural cohorts among millions of learners and serves what it knows about "
      "each of them.",
      "covey");
  cli.require_subcommand(1);
  cli.set_version_flag("--version", COVEY_VERSION);
  cli.set_config("--config", "",
                 "Read options from this TOML file; a section per command, as "
                 "[serve]. What stands on the command line wins");
  cli.allow_config_extras(CLI::config_extras_mode::error);
  cli.footer(
      "Start here:\n"
      "  covey import --data store --format oulad data/oulad\n"
      "  covey discover --data store --as-of latest\n"
      "  covey serve --data store --as-of latest --listen 127.0.0.1:8080\n"
      "Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 a gate or check said no.");
  Run run;
  add_import(cli, run);
  add_traits(cli, run);
  add_discover(cli, run);
  add_serve(cli, run);
  add_quarantine(cli, run);
  add_simulate(cli, run);
  add_experiment(cli, run);
  add_stats(cli, run);
  add_plan(cli, run);
  add_control(cli, run);
  add_rollout(cli, run);
  add_load(cli, run);
  add_scale_test(cli, run);

  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) name_unknown_options(cli);
    return cli.exit(error) == 0 ? 0 : static_cast<int>(Exit::kUsage);
  }
  const Result<Exit> done = run();
  if (done) return static_cast<int>(*done);
  fmt::print(stderr, "covey: {}\n", done.error().message);
  const bool usage = done.error().code == Errc::kRejected || done.error().code == Errc::kNotFound;
  return static_cast<int>(usage ? Exit::kUsage : Exit::kFailed);
}
