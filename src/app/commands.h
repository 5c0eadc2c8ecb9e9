#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "base/result.h"

namespace covey::app {

/// What a command answers the shell with (docs: README, "Exit codes").
enum class Exit : int { kDone = 0, kFailed = 1, kUsage = 2, kRefused = 3 };

/// Each adds its subcommand to `app` and, when that is chosen, sets `run`.
using Run = std::function<Result<Exit>()>;
void add_import(CLI::App& app, Run& run);
void add_traits(CLI::App& app, Run& run);
void add_discover(CLI::App& app, Run& run);
void add_serve(CLI::App& app, Run& run);
void add_quarantine(CLI::App& app, Run& run);
void add_simulate(CLI::App& app, Run& run);
void add_experiment(CLI::App& app, Run& run);
void add_stats(CLI::App& app, Run& run);
void add_plan(CLI::App& app, Run& run);
void add_control(CLI::App& app, Run& run);
void add_rollout(CLI::App& app, Run& run);
void add_load(CLI::App& app, Run& run);
void add_scale_test(CLI::App& app, Run& run);

/// Numbers above 0. CLI11's own PositiveNumber answers a 0 with the smallest and the largest
/// double.
inline CLI::Validator positive() {
  return {[](std::string& text) {
            double value = 0;
            const bool well = CLI::detail::lexical_cast(text, value) && value > 0;
            return well ? std::string() : text + " is not a number above 0";
          },
          "POSITIVE"};
}

}  // namespace covey::app
