// The journal of a rollout that has been followed for hours, for `covey control` to go on with: a
// slot of telemetry every few seconds, checks, holds, incidents reported, acknowledged and
// resolved.
//
//   busy_rollout --plan plan.yaml --journal DIR --hours 6
//
// Production code over a clock that jumps: the controller takes the slots and inputs as it would
// live, and stands well within the first stage when the last of them has come, which is now.
// Prints one line of JSON: what there is.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "app/real_clock.h"
#include "base/clock.h"
#include "base/random.h"
#include "control/controller.h"
#include "log/rocks_log.h"

namespace covey {
namespace {

using namespace std::chrono_literals;
using telemetry::Arm;

struct Options {
  std::string plan, journal;
  int hours = 6;
  std::uint64_t requests_per_slot = 10'000;  ///< of both arms
};

struct Balancer final : control::Balancer {
  plan::BasisPoints held = 0;
  Result<plan::BasisPoints> share() override { return held; }
  Result<void> set_share(plan::BasisPoints share) override {
    held = share;
    return {};
  }
};
struct Channels final : control::Channels {
  std::vector<std::string> names() const override { return {}; }
  void post(const control::Note&) override {}
  void renew(const rollout::Notify&, Time) override {}
};
/// Every check passes.
struct Checks final : control::Checks {
  std::vector<std::pair<std::string, plan::Check>> asked;
  void run(const std::string& stage, plan::Check check) override {
    asked.emplace_back(stage, check);
  }
};

class Day {
 public:
  Day(plan::Plan plan, control::Controller& controller, Balancer& balancer, Checks& checks,
      ManualClock& clock)
      : plan_(std::move(plan)),
        controller_(controller),
        balancer_(balancer),
        checks_(checks),
        clock_(clock) {}

  Result<void> run(Time until, std::uint64_t requests_per_slot) {
    for (const plan::Stage& stage : plan_.stages) {
      for (const std::string& role : stage.approvals) {
        controller_.submit(
            rollout::Approve{stage.name, role, plan_.role(role)->people.front(), 0, {}});
      }
    }
    int minute = 0;
    while (clock_.wall() < until) {
      // A look a minute, not a slot: an fsync each, and the figures are the same.
      std::vector<telemetry::ClosedSlot> slots;
      for (auto passed = plan_.slot; passed <= 1min; passed += plan_.slot) {
        clock_.advance(plan_.slot);
        slots.push_back(slot(requests_per_slot));
      }
      controller_.add_slots(std::move(slots));
      for (const auto& [stage, check] : std::exchange(checks_.asked, {})) {
        controller_.submit(rollout::CheckResult{stage, check, true, "as it should be"});
      }
      people(++minute, until);
      COVEY_TRY_VOID(controller_.settle());
    }
    return {};
  }
  int incidents() const { return incidents_; }

 private:
  telemetry::ClosedSlot slot(std::uint64_t requests) {
    const telemetry::Shape& shape = controller_.shape();
    telemetry::ClosedSlot out{clock_.wall(), telemetry::Sums(shape), true, {}};
    const std::vector<std::uint64_t> none(shape.slower_than.size(), 0);
    for (const Arm arm : {Arm::kBaseline, Arm::kCandidate}) {
      const std::uint64_t share =
          arm == Arm::kCandidate ? balancer_.held : plan::kEveryone - balancer_.held;
      const std::uint64_t each = requests * share / plan::kEveryone / shape.segments.size();
      for (std::size_t s = 0; each > 0 && s < shape.segments.size(); ++s) {
        out.sums.add(arm, s, each, 0, 0, none, none);
      }
      for (int i = 0; each > 0 && i < 200; ++i) {
        out.latencies[static_cast<std::size_t>(arm)].add(
            std::chrono::microseconds(500 + random_.below(4'000)));
      }
      telemetry::Levels levels;
      levels.samples = 1;
      levels.cpu = 400'000;
      levels.memory = 500'000;
      levels.cache_hits = 90;
      levels.lookups = 100;
      controller_.add_levels(arm, levels);
    }
    return out;
  }

  void people(int minute, Time until) {
    const std::string person = plan_.roles.front().people.front();
    const std::string& role = plan_.roles.front().name;
    if (minute % 10 == 0) {
      controller_.submit(rollout::ReportIncident{
          plan::Severity::kMedium, fmt::format("reported/{}", minute),
          fmt::format("a learner in segment {} waits {} s for a page", minute % 9, minute % 7),
          person});
      ++incidents_;
    }
    // The last half hour's are open still.
    if (minute % 10 == 4 && minute > 10) {
      const auto id = static_cast<std::uint64_t>(minute / 10);
      controller_.submit(rollout::Acknowledge{id, person});
      if (clock_.wall() < until - 30min) controller_.submit(rollout::Resolve{id, person});
    }
    using Kind = rollout::Command::Kind;
    if (minute % 15 == 7 || minute % 15 == 8) {
      rollout::Command command;
      command.kind = minute % 15 == 7 ? Kind::kHold : Kind::kResume;
      command.role = role;
      command.person = person;
      command.reason = "a look at the figures";
      controller_.submit(std::move(command));
    }
  }

  plan::Plan plan_;
  control::Controller& controller_;
  Balancer& balancer_;
  Checks& checks_;
  ManualClock& clock_;
  Random random_{7};
  int incidents_ = 0;
};

Result<void> make(const Options& options) {
  std::ostringstream text;
  text << std::ifstream(options.plan).rdbuf();
  plan::Plan plan = COVEY_TRY(plan::parse_plan(options.plan, text.str()));
  // The newest slot ends where a slot of the live collector would, and the first stage is at its
  // third quarter then.
  const Time wall = app::RealClock().wall();
  const Time now(wall.time_since_epoch() / plan.slot * plan.slot);
  const Time begin =
      now - (plan.stages.front().start - plan.begin()) - plan.stages.front().length * 3 / 4;
  const auto later = begin - plan.begin();
  plan = plan::shifted(std::move(plan), later);
  ManualClock clock(now - std::chrono::hours(options.hours));

  std::filesystem::create_directories(options.journal);
  const auto log = COVEY_TRY(log::open_rocks_log(options.journal + "/log", log::Access::kReadWrite,
                                                 log::RocksLimits{}, clock));
  const auto journal =
      COVEY_TRY(control::Journal::open(*log, text.str(), rollout::telemetry_shape(plan), clock));
  COVEY_TRY_VOID(journal->put("begin", format_time(begin)));
  Balancer balancer;
  Channels channels;
  Checks checks;
  const std::string reports = options.journal + "/reports";
  std::filesystem::create_directories(reports);
  control::Controller controller(plan, {.reports = reports}, *journal, balancer, channels, checks,
                                 clock);
  COVEY_TRY_VOID(controller.recover());
  Day day(plan, controller, balancer, checks, clock);
  COVEY_TRY_VOID(day.run(now, options.requests_per_slot));
  const auto status = nlohmann::json::parse(controller.view()->status);
  std::cout << nlohmann::json{{"hours", options.hours},
                              {"records", status["journal"]["records"]},
                              {"incidents", day.incidents()},
                              {"phase", status["phase"]},
                              {"situation", status["situation"]},
                              {"status_bytes", controller.view()->status.size()}}
                   .dump()
            << '\n';
  return {};
}

}  // namespace
}  // namespace covey

int main(int argc, char** argv) {
  covey::Options options;
  CLI::App app{"Writes the journal of a rollout that has been followed for hours"};
  app.add_option("--plan", options.plan, "The calendar, YAML")->required();
  app.add_option("--journal", options.journal, "Folder of the journal, a new one")->required();
  app.add_option("--hours", options.hours, "How long it has been followed")
      ->check(CLI::Range(1, 48));
  CLI11_PARSE(app, argc, argv);
  if (const auto made = covey::make(options); !made) {
    std::cerr << made.error().message << '\n';
    return 1;
  }
  return 0;
}
