#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/files.h"
#include "base/text.h"
#include "base/whole.h"
#include "config/units.h"
#include "http/client.h"
#include "plan/plan.h"

namespace covey::app {
namespace {

using Json = nlohmann::ordered_json;

struct RolloutOptions {
  std::string url = "http://127.0.0.1:8090", token_file;
  std::string stage, at, reason, share, kind, subject, name, report;
  std::uint64_t incident = 0;
  bool json = false, once = false, instead = false, html = false;
};

constexpr std::chrono::seconds kPatience{10};

Result<std::string> token(const RolloutOptions& options) {
  if (!options.token_file.empty()) {
    std::string text = COVEY_TRY(read_file(options.token_file));
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
  }
  if (const char* set = std::getenv("COVEY_TOKEN")) return std::string(set);
  return fail(
      Errc::kRejected,
      "who are you? Give --token-file FILE, or set COVEY_TOKEN; `covey control token` makes "
      "one");
}

/// What a problem document says, for people.
Error problem(const http::Answer& answer) {
  const Json json = Json::parse(answer.body, nullptr, false);
  std::string detail = json.is_object() ? json.value("detail", "") : "";
  if (detail.empty()) detail = fmt::format("the control plane answers {}", answer.status);
  return {answer.status / 100 == 4 ? Errc::kRejected : Errc::kFailed, std::move(detail)};
}

Result<http::Answer> ask(const RolloutOptions& options, http::Ask what) {
  http::Client client(COVEY_TRY(http::parse_url(options.url)));
  auto answer = client.ask(what, kPatience);
  if (!answer) {
    return fail(Errc::kFailed, fmt::format("{}; is `covey control` running there? --url names "
                                           "another address",
                                           answer.error().message));
  }
  if (answer->status / 100 != 2) return std::unexpected(problem(*answer));
  return answer;
}

/// Something that needs a token; says what was decided.
Result<Exit> act(const RolloutOptions& options, std::string_view method, const std::string& target,
                 const Json& body) {
  const std::string bearer = "Bearer " + COVEY_TRY(token(options));
  const std::string text = body.dump();
  auto answer = ask(
      options,
      {.method = method, .target = target, .body = text, .fields = {{"Authorization", bearer}}});
  if (!answer) {
    // Refused by the core: it said no.
    fmt::print(stderr, "covey: {}\n", answer.error().message);
    return answer.error().code == Errc::kRejected ? Exit::kRefused : Exit::kFailed;
  }
  if (options.json) {
    fmt::print("{}\n", answer->body);
    return Exit::kDone;
  }
  const Json json = Json::parse(answer->body, nullptr, false);
  for (const Json& decision : json.value("decisions", Json::array())) {
    fmt::print("{}: {}\n", decision.value("decision", ""), decision.value("cause", ""));
  }
  return Exit::kDone;
}

Result<Exit> command(const RolloutOptions& options, const char* kind) {
  Json body = {{"command", kind}};
  if (!options.reason.empty()) body["reason"] = options.reason;
  if (!options.stage.empty()) body["stage"] = options.stage;
  if (!options.at.empty()) body["start"] = options.at;
  if (!options.share.empty()) body["share"] = COVEY_TRY(config::parse_percent(options.share));
  return act(options, "POST", "/v1/rollout/commands", body);
}

/// An approval, an override or a withdrawal, of the attempt that is under way as it is given.
Result<Exit> approval(const RolloutOptions& options, const char* flag) {
  const auto answer = COVEY_TRY(ask(options, {.target = "/v1/rollout"}));
  const Json status = Json::parse(answer.body, nullptr, false);
  if (!status.is_object() || !status.contains("attempt")) {
    return fail(Errc::kFailed, "the status names no attempt: is `covey control` running there?");
  }
  Json body = {{"stage", options.stage}, {"attempt", status["attempt"]}};
  if (flag != nullptr) body[flag] = true;
  if (!options.reason.empty()) body["reason"] = options.reason;
  if (!options.report.empty()) body["report"] = options.report;
  return act(options, "POST", "/v1/rollout/approvals", body);
}

// ---- Status

std::string share_text(const Json& share) {
  if (!share.is_number()) return "?";
  return plan::share_text(static_cast<plan::BasisPoints>(share.get<double>() * 1e4 + 0.5));
}
std::string percent(const Json& value, int digits = 2) {
  return value.is_number() ? fmt::format("{:.{}f} %", value.get<double>() * 100, digits) : "-";
}
std::string ms(const Json& value) {
  return value.is_number() ? fmt::format("{:.3g} ms", value.get<double>() * 1e3) : "-";
}
std::string span(const Json& seconds) {
  if (!seconds.is_number()) return "-";
  return config::format_duration(
      std::chrono::seconds(static_cast<std::int64_t>(seconds.get<double>())));
}
std::string clock(const Json& at) {
  const std::string text = at.is_string() ? at.get<std::string>() : "";
  return text.size() >= 19 ? text.substr(11, 8) : "-";
}

struct Paint {
  bool on;
  std::string bold(const std::string& text) const {
    return on ? "\033[1m" + text + "\033[0m" : text;
  }
  std::string of(std::string_view verdict, const std::string& text) const {
    if (!on) return text;
    const char* colour = verdict == "pass" || verdict == "passed" || verdict == "running" ? "32"
                         : verdict == "fail" || verdict == "rolled_back" || verdict == "failed" ||
                                 verdict == "critical"
                             ? "31"
                             : "33";
    return fmt::format("\033[{}m{}\033[0m", colour, text);
  }
};

/// Colour is never the only sign.
const char* sign(std::string_view word) {
  if (word == "pass" || word == "passed") return "+";
  if (word == "fail" || word == "failed" || word == "rolled_back") return "!";
  if (word == "running") return ">";
  if (word == "undecided") return "?";
  return ".";
}

std::string bar(double part) {
  constexpr int kCells = 20;
  const int full = static_cast<int>(std::clamp(part, 0.0, 1.0) * kCells);
  return "[" + std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(kCells - full), '-') + "]";
}

std::string page(const Json& s, const Paint& paint) {
  std::string out;
  const auto line = [&](std::string text) { out += text + "\n"; };
  const Json& share = s.at("share");
  line(paint.bold(fmt::format("{}: {}", s.value("plan", ""), s.value("situation", ""))) +
       fmt::format("   candidate {} (balancer holds {})   {} UTC, telemetry {} old",
                   share_text(share.at("wanted")), share_text(share.at("seen")), clock(s.at("now")),
                   span(s.at("telemetry_age_s"))));
  line("  " + share.value("cause", ""));
  if (s.contains("roll_back")) {
    const Json& back = s["roll_back"];
    line(paint.of(
        "fail",
        fmt::format("  ! rolled back at {}: {}{}", clock(back.at("since")), back.value("cause", ""),
                    back.at("verified").is_null() ? "; not verified yet" : "; verified quiet")));
  }
  line("");
  for (const Json& p : s.at("phases")) {
    const std::string status = p.value("status", "");
    std::string text = fmt::format("{} {:<20} {:<12} {:>6}", sign(status), p.value("name", ""),
                                   status, share_text(p.at("share")));
    std::string rest;
    if (p.contains("elapsed_s")) {
      const double whole = p["elapsed_s"].get<double>() + p["remaining_s"].get<double>();
      rest = fmt::format("  {} {} left", bar(whole > 0 ? p["elapsed_s"].get<double>() / whole : 1),
                         span(p["remaining_s"]));
      if (p.contains("next_checkpoint")) rest += ", checkpoint at " + clock(p["next_checkpoint"]);
    } else if (status == "waiting") {
      rest = fmt::format("  {}", p.value("start", ""));
      if (p.contains("waits_for")) rest += ": " + p.value("waits_for", "");
    } else if (p.at("decided").is_string()) {
      rest = "  decided " + clock(p["decided"]);
    }
    line(paint.of(status, text) + rest);
    if (status != "running" && status != "rolled_back" && status != "failed") continue;
    for (const Json& e : p.at("evidence")) {
      const std::string verdict = e.value("verdict", "");
      line(fmt::format("    {} {:<28} {}",
                       paint.of(verdict, fmt::format("{} {:<9}", sign(verdict), verdict)),
                       e.value("criterion", ""), e.value("text", "")));
    }
  }
  if (s.contains("figures")) {
    const Json& f = s["figures"];
    line("");
    line(fmt::format("  last window   {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}", "req/s", "errors",
                     "available", "P50", "P95", "P99", "cache"));
    for (const char* arm : {"candidate", "baseline"}) {
      const Json& a = f.at(arm);
      line(fmt::format("  {:<13} {:>9.1f} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}", arm,
                       a.value("per_second", 0.0), percent(a.at("error_rate")),
                       percent(a.at("availability")), ms(a.at("p50_s")), ms(a.at("p95_s")),
                       ms(a.at("p99_s")), percent(a.at("cache_hits"), 1)));
    }
  }
  std::size_t open = 0;
  for (const Json& i : s.at("incidents")) open += i.at("resolved").is_null();
  if (open > 0) line("");
  for (const Json& i : s.at("incidents")) {
    if (!i.at("resolved").is_null()) continue;
    line(paint.of(i.value("severity", ""),
                  fmt::format("  ! #{} {}: {}", whole<std::uint64_t>(i.at("id")),
                              i.value("severity", ""), i.value("title", ""))) +
         (i.at("acknowledged").is_null()
              ? fmt::format("   covey rollout ack {}", whole<std::uint64_t>(i.at("id")))
              : "   taken by " + i.value("acknowledged_by", "")));
  }
  line("");
  std::size_t shown = 0;
  for (const Json& d : s.at("decisions")) {
    if (++shown > 8) break;
    line(fmt::format("  {} {:<12} {}", clock(d.at("at")), d.value("decision", ""),
                     d.value("cause", "").substr(0, 140)));
  }
  return out;
}

volatile std::sig_atomic_t view_ended = 0;

Result<Exit> status(const RolloutOptions& options) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  const bool live = terminal && !options.once && !options.json;
  if (live) std::signal(SIGINT, [](int) { view_ended = 1; });
  for (;;) {
    const auto answer = ask(options, {.target = "/v1/rollout"});
    if (!answer && !live) return std::unexpected(answer.error());
    if (answer && options.json) {
      fmt::print("{}\n", answer->body);
      return Exit::kDone;
    }
    std::string text;
    if (answer) {
      const Json json = Json::parse(answer->body, nullptr, false);
      if (json.is_discarded()) return fail(Errc::kFailed, "the status is no JSON");
      text = page(json, {terminal});
    } else {
      text = answer.error().message + "\n";  // it may come back
    }
    // Home, the page, and whatever stood below it goes.
    fmt::print("{}{}{}", live ? "\033[H\033[2J" : "", text,
               live ? "\nCtrl-C ends this view.\n" : "");
    std::fflush(stdout);
    if (!live || view_ended) return Exit::kDone;
    for (int i = 0; i < 10 && !view_ended; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    if (view_ended) return Exit::kDone;
  }
}

Result<Exit> report(const RolloutOptions& options) {
  const auto answer = COVEY_TRY(
      ask(options, {.target = fmt::format("/v1/rollout/report?kind={}&subject={}&format={}",
                                          options.kind, http::percent_encode(options.subject),
                                          options.html ? "html" : "markdown")}));
  fmt::print("{}", answer.body);
  return Exit::kDone;
}

Result<Exit> journal(const RolloutOptions& options) {
  for (std::uint64_t after = 0;;) {
    const auto answer = COVEY_TRY(
        ask(options, {.target = fmt::format("/v1/rollout/journal?limit=1000&after={}", after)}));
    if (answer.body.empty()) return Exit::kDone;
    std::string_view rest = answer.body;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      const Json record = Json::parse(line, nullptr, false);
      if (!record.is_object())
        return fail(Errc::kCorrupt,
                    "the answer is no journal: is this the address of `covey control`?");
      after = whole<std::uint64_t>(record.at("number"));
      if (options.json) {
        fmt::print("{}\n", line);
        continue;
      }
      for (const Json& d : record.value("decisions", Json::array())) {
        fmt::print("{:>7}  {}  {:<20} {:<12} {:>6}  {}\n", after, d.value("at", "").substr(0, 19),
                   d.value("phase", ""), d.value("decision", ""),
                   share_text(d.value("share", Json())), d.value("cause", ""));
      }
    }
  }
}

}  // namespace

void add_rollout(CLI::App& app, Run& run) {
  auto o = std::make_shared<RolloutOptions>();
  CLI::App* top = app.add_subcommand("rollout", "Look at a rollout under way and decide on it");
  top->require_subcommand(1);
  top->footer(
      "Whatever changes something needs a token (--token-file, or COVEY_TOKEN).\n"
      "Exit code 3: the control plane refused.");
  top->add_option("--url", o->url, "Address of `covey control`")->capture_default_str();
  top->add_option("--token-file", o->token_file, "File that holds your token");
  top->add_flag("--json", o->json, "For machines");
  top->fallthrough();

  const auto add = [&](const char* name, const char* help, std::function<Result<Exit>()> what) {
    CLI::App* one = top->add_subcommand(name, help);
    one->fallthrough();
    one->callback([&run, what = std::move(what)] { run = what; });
    return one;
  };
  const auto reason = [&](CLI::App* one) {
    one->add_option("--reason", o->reason, "Why; it stands in the journal");
    return one;
  };
  add("status", "Where it stands; on a terminal a live view", [o] {
    return status(*o);
  })->add_flag("--once", o->once, "Print it once");
  CLI::App* one = add("approve", "Approve a stage in your role; a later one in advance",
                      [o] { return approval(*o, o->instead ? "override" : nullptr); });
  reason(one)->add_option("STAGE", o->stage, "Or a gate of the calendar")->required();
  one->add_option("--report", o->report, "Of a gate: the report that you decide on");
  one->add_flag("--override", o->instead, "Stand in for the approvals that are missing");
  one = add("no-go", "Withdraw your role's approval of a stage, or refuse it",
            [o] { return approval(*o, "withdraw"); });
  reason(one)->add_option("STAGE", o->stage)->required();
  reason(
      add("hold", "Advance nothing until somebody resumes", [o] { return command(*o, "hold"); }));
  reason(add("resume", "Lift a hold, a reduction, or give a held gate more time",
             [o] { return command(*o, "resume"); }));
  one = add("reduce", "Lower the candidate's share", [o] { return command(*o, "reduce"); });
  reason(one)->add_option("SHARE", o->share, "Such as 5%")->required();
  reason(add("abort", "Roll back to 0 % now", [o] { return command(*o, "abort"); }));
  one = add("start", "Start a stage again after a roll back or a NO-GO",
            [o] { return command(*o, "start"); });
  reason(one)->add_option("STAGE", o->stage)->required();
  one->add_option("--at", o->at, "When, RFC 3339; now where absent");
  one = add("reschedule", "Move a phase that waits, and what follows",
            [o] { return command(*o, "reschedule"); });
  reason(one)->add_option("STAGE", o->stage)->required();
  one->add_option("--at", o->at, "When, RFC 3339")->required();
  one = add("ack", "Take an incident: nobody else is called", [o] {
    return act(*o, "POST", fmt::format("/v1/rollout/incidents/{}/acknowledge", o->incident),
               Json::object());
  });
  one->add_option("INCIDENT", o->incident, "Its number")->required();
  one = add("resolve", "Say that an incident is over", [o] {
    return act(*o, "POST", fmt::format("/v1/rollout/incidents/{}/resolve", o->incident),
               Json::object());
  });
  one->add_option("INCIDENT", o->incident, "Its number")->required();
  one = add("done", "Say that a task of the calendar is done",
            [o] { return act(*o, "POST", "/v1/rollout/work", {{"name", o->name}}); });
  one->add_option("TASK", o->name)->required();
  one = add("report", "Print a report as of now", [o] { return report(*o); });
  one->add_option("KIND", o->kind,
                  "checkpoint, stage, incident, briefing, hand-over, work, executive")
      ->required();
  one->add_option("SUBJECT", o->subject, "Phase, number of the incident, work phase");
  one->add_flag("--html", o->html, "As a page");
  add("journal", "Every decision so far, who made it and why", [o] { return journal(*o); });
}

}  // namespace covey::app
