#include <cstdio>
#include <iostream>
#include <string>

#include <fmt/format.h>

#include "app/commands.h"
#include "app/stats_functions.h"

namespace covey::app {
namespace {

Result<Exit> list() {
  for (const StatsFunction& function : stats_functions()) {
    fmt::print("{:<26}{}\n", function.name, function.inputs);
  }
  return Exit::kDone;
}

Result<Exit> answer_lines() {
  constexpr std::size_t kFlush = 1 << 16;
  std::string line;
  std::string out;
  const auto write = [&] {
    const bool whole =
        std::fwrite(out.data(), 1, out.size(), stdout) == out.size() && std::fflush(stdout) == 0;
    out.clear();
    return whole;
  };
  std::ios::sync_with_stdio(false);
  while (std::getline(std::cin, line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    out += answer_stats(line).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out += '\n';
    // At once where someone may be waiting for the answer, in bulk where more lines are in.
    if ((out.size() >= kFlush || std::cin.rdbuf()->in_avail() <= 0) && !write()) {
      return fail(Errc::kFailed, "cannot write to standard output");
    }
  }
  if (!write()) return fail(Errc::kFailed, "cannot write to standard output");
  return Exit::kDone;
}

}  // namespace

void add_stats(CLI::App& app, Run& run) {
  auto listing = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "stats", "Answer statistical questions: NDJSON in on standard input, a line out for each");
  command->add_flag("--list", *listing, "Show the functions and what each wants, then stop");
  command->footer(
      "A line is {\"function\": NAME, \"input\": {...}}; its answer begins with \"status\". A "
      "line\n"
      "that cannot be answered gets {\"status\": \"bad_input\", \"message\": ...}, and the next "
      "is\n"
      "read. alpha is 0.05 where a line gives none. docs/statistics.md says what each answer "
      "means.\n"
      "  echo '{\"function\":\"proportion_ci\",\"input\":{\"successes\":17,\"trials\":250}}' | "
      "covey stats");
  command->callback(
      [listing, &run] { run = [listing] { return *listing ? list() : answer_lines(); }; });
}

}  // namespace covey::app
