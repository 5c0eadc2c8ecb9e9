#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sodium.h>
#include <unistd.h>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/files.h"
#include "app/plan_file.h"
#include "app/real_clock.h"
#include "app/start_thread.h"
#include "control/api.h"
#include "control/controller.h"
#include "control/tokens.h"
#include "haproxy/process.h"
#include "haproxy/receiver.h"
#include "haproxy/runtime.h"
#include "http/client.h"
#include "http/exposition.h"
#include "http/server.h"
#include "log/rocks_log.h"
#include "notify/queue.h"
#include "probes/impacts.h"
#include "probes/prober.h"
#include "probes/prometheus.h"

namespace covey::app {
namespace {

namespace asio = boost::asio;

struct ControlOptions {
  std::string plan, journal, tokens, reports, begin, listen = "127.0.0.1:8090";
  std::string haproxy = "/usr/sbin/haproxy";
  std::string compare = probes::Settings{}.compare, link;
  double compares_per_second = probes::Settings{}.compares_per_second;
  unsigned haproxy_threads = 1;
  std::vector<std::string> force_from;
  std::uint64_t grace_s = 3;
};

/// Everything a plan's folder holds.
struct Folder {
  std::string root;
  std::string log() const { return root + "/log"; }
  std::string balancer() const { return root + "/haproxy"; }
  std::string lines() const { return balancer() + "/lines.sock"; }
};

class Channels final : public control::Channels {
 public:
  Channels(const plan::Plan& plan, std::string link, std::string run)
      : plan_(plan), link_(std::move(link)), run_(std::move(run)) {}

  /// @param input  takes an incident
  /// @param over   takes the key of one that is over
  /// @param gone   takes channel and effect of a message that need not be sent again
  Result<void> open(const Clock& clock, std::function<void(rollout::What)> input,
                    std::function<void(std::string)> over,
                    std::function<void(std::string, std::uint64_t)> gone) {
    input_ = std::move(input);
    over_ = std::move(over);
    gone_ = std::move(gone);
    for (const plan::Channel& channel : plan_.channels) {
      queues_.push_back(COVEY_TRY(notify::Queue::make(
          channel, {}, clock,
          [this, &clock](const plan::Channel& c, bool dead, std::string why) {
            tell_of(c, dead, why, clock.wall());
          },
          [this](const plan::Channel& c, const notify::Message& message) {
            if (message.effect != 0) gone_(c.name, message.effect);
          })));
    }
    return {};
  }
  void start() {
    for (const auto& queue : queues_) {
      threads_.push_back(start_thread([&queue] { queue->run(); }));
    }
  }
  void stop() {
    for (const auto& queue : queues_) queue->stop();
    threads_.clear();
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const plan::Channel& channel : plan_.channels) out.push_back(channel.name);
    return out;
  }
  void post(const control::Note& note) override {
    notify::Message message = make(fmt::format("{}-{}", run_, note.effect), note.at, note.what);
    message.effect = note.effect;
    for (const auto& queue : queues_) {
      if (queue->channel().name == note.channel) queue->post(message);
    }
  }
  void renew(const rollout::Notify& notify, Time at) override {
    notify::Message message =
        make(fmt::format("{}-incident-{}-{}", run_, notify.incident, at.time_since_epoch().count()),
             at, notify);
    message.renewal = true;
    for (const auto& queue : queues_) {
      if (queue->channel().kind == plan::Channel::Kind::kAlertmanager) queue->post(message);
    }
  }
  std::vector<std::string> dead() const {
    std::vector<std::string> out;
    for (const auto& queue : queues_) {
      if (queue->counters().dead) out.push_back(queue->channel().name);
    }
    return out;
  }
  void write(http::Exposition& out) const {
    for (const auto& queue : queues_) {
      const auto c = queue->counters();
      for (const auto& [result, count] : {std::pair{"sent", c.sent}, std::pair{"failed", c.failed},
                                          std::pair{"dropped", c.dropped}}) {
        out.counter("covey_notifications_total", "Messages to a channel, by what became of them.",
                    static_cast<double>(count),
                    {{"channel", queue->channel().name}, {"result", result}});
      }
    }
    for (const auto& queue : queues_) {
      out.gauge("covey_notification_channel_dead", "1 while nothing reaches the channel.",
                queue->counters().dead ? 1 : 0, {{"channel", queue->channel().name}});
    }
  }

 private:
  notify::Message make(std::string id, Time at, rollout::Notify what) const {
    notify::Message out;
    out.id = std::move(id);
    out.at = at;
    out.plan = plan_.name;
    out.what = std::move(what);
    out.link = link_;
    return out;
  }
  /// A dead channel is itself an alert on the others.
  void tell_of(const plan::Channel& channel, bool dead, const std::string& why, Time at) {
    fmt::print(stderr, "channel {}: {}\n", channel.name,
               dead ? "does not take messages: " + why : "takes messages again");
    rollout::Notify what;
    what.severity = plan::Severity::kHigh;
    what.title = fmt::format("channel {} {}", channel.name, dead ? "is dead" : "lives again");
    what.text = why;
    what.resolved = !dead;
    const notify::Message message =
        make(fmt::format("{}-channel-{}-{}", run_, channel.name, at.time_since_epoch().count()), at,
             std::move(what));
    for (const auto& queue : queues_) {
      if (queue->channel().name != channel.name) queue->post(message);
    }
    if (dead) {
      input_(rollout::ReportIncident{
          plan::Severity::kMedium, "channel/" + channel.name,
          fmt::format("channel {} takes no messages: {}", channel.name, why), "notify"});
    } else {
      over_("channel/" + channel.name);
    }
  }

  const plan::Plan& plan_;
  std::string link_, run_;
  std::function<void(rollout::What)> input_;
  std::function<void(std::string)> over_;
  std::function<void(std::string, std::uint64_t)> gone_;
  std::vector<std::unique_ptr<notify::Queue>> queues_;
  std::vector<std::jthread> threads_;
};

class Balancer final : public control::Balancer {
 public:
  explicit Balancer(haproxy::Files files)
      : runtime_(std::move(files), std::chrono::milliseconds(1'000)) {}
  Result<plan::BasisPoints> share() override { return runtime_.share(); }
  Result<void> set_share(plan::BasisPoints share) override { return runtime_.set_share(share); }
  const haproxy::Runtime& runtime() const { return runtime_; }

 private:
  haproxy::Runtime runtime_;
};

class Checks final : public control::Checks {
 public:
  void run(const std::string& stage, plan::Check check) override {
    if (prober != nullptr) {
      prober->check(stage, check);
    } else {
      early_.emplace_back(stage, check);  // asked for while the journal was replayed
    }
  }
  void start(probes::Prober& with) {
    prober = &with;
    for (auto& [stage, check] : early_) prober->check(std::move(stage), check);
    early_.clear();
  }

 private:
  probes::Prober* prober = nullptr;
  std::vector<std::pair<std::string, plan::Check>> early_;
};

nlohmann::ordered_json effective_config(const ControlOptions& o, const plan::Plan& plan) {
  return {{"plan", o.plan},
          {"begin", format_time(plan.begin())},
          {"listen", o.listen},
          {"balancer", plan.listen},
          {"journal", o.journal},
          {"tokens", o.tokens},
          {"reports", o.reports},
          {"haproxy", o.haproxy},
          {"haproxy_threads", o.haproxy_threads},
          {"compare", o.compare},
          {"compares_per_second", o.compares_per_second},
          {"force_from", o.force_from},
          {"experiment", plan.impacts.experiment},
          {"analyzer", plan.impacts.address}};
}

/// Everything a running control plane is made of, in the order in which it can be made. Members
/// are destroyed from the last to the first, so each may use those above it.
class ControlPlane {
 public:
  explicit ControlPlane(ControlOptions options) : options_(std::move(options)) {}

  Result<Exit> run() {
    COVEY_CHECK(sodium_init() >= 0);
    COVEY_TRY_VOID(open());
    COVEY_TRY_VOID(controller_->recover());
    COVEY_TRY_VOID(wire());
    server_->start();
    receiver_->start();
    fmt::print(stderr, "listening on http://{}:{}\n", host_, server_->port());
    fmt::print(stderr, "ready: {} at {}, {} records in the journal\n", plan_.name,
               plan::share_text(balancer_->share().value_or(0)), journal_->count());
    wait_for_signal();
    channels_->start();
    {
      const std::jthread prober = start_thread([this] { prober_->run(); });
      const std::jthread probe = start_thread([this] { prober_->run_probe(); });
      std::jthread source;
      if (prometheus_) source = start_thread([this] { prometheus_->run(); });
      std::jthread experiment;
      if (impacts_) experiment = start_thread([this] { impacts_->run(); });
      const std::jthread watcher = start_thread([this] { watch_balancer(); });
      const std::jthread io = start_thread([this] { io_.run(); });
      outcome_ = controller_->run();
      if (!outcome_) {
        fmt::print(stderr,
                   "the journal can't be written: {}\nthe balancer keeps its share; start again "
                   "once it can\n",
                   outcome_.error().message);
      }
      stop();
    }
    channels_->stop();
    if (!outcome_) return std::unexpected(outcome_.error());
    fmt::print(stderr, "stopped; the balancer goes on with its share\n");
    return Exit::kDone;
  }

 private:
  Result<void> open() {
    const std::string text = COVEY_TRY(read_file(options_.plan));
    plan_ = COVEY_TRY(plan::parse_plan(options_.plan, text));
    if (!options_.tokens.empty()) {
      tokens_ = COVEY_TRY(
          control::Tokens::parse(options_.tokens, COVEY_TRY(read_file(options_.tokens)), plan_));
    }
    folder_.root = options_.journal;
    std::error_code error;
    for (const std::string& folder : {folder_.root, folder_.balancer(), options_.reports}) {
      std::filesystem::create_directories(folder, error);
      if (error)
        return fail(Errc::kFailed, fmt::format("can't make {}: {}", folder, error.message()));
    }
    // Who reaches the sockets within sets the share, or says what was served.
    std::filesystem::permissions(folder_.balancer(), std::filesystem::perms::owner_all, error);
    if (error) {
      return fail(Errc::kFailed,
                  fmt::format("can't close {} to others: {}", folder_.balancer(), error.message()));
    }
    log_ = COVEY_TRY(
        log::open_rocks_log(folder_.log(), log::Access::kReadWrite, log::RocksLimits{}, clock_));
    journal_ =
        COVEY_TRY(control::Journal::open(*log_, text, rollout::telemetry_shape(plan_), clock_));
    COVEY_TRY_VOID(set_begin());
    COVEY_TRY_VOID(open_sockets());
    COVEY_TRY_VOID(start_balancer());
    const std::string link =
        options_.link.empty() ? fmt::format("http://{}:{}", host_, port_) : options_.link;
    channels_.emplace(plan_, link, run_name_);
    COVEY_TRY_VOID(channels_->open(
        clock_, [this](rollout::What what) { controller_->submit(std::move(what)); },
        [this](const std::string& key) { controller_->resolve(key, "notify"); },
        [this](std::string channel, std::uint64_t effect) {
          controller_->gone(std::move(channel), effect);
        }));
    balancer_.emplace(settings_.files);
    control::Controller::Config config;
    config.reports = options_.reports;
    config.telemetry_trouble = [this] { return prometheus_ ? prometheus_->trouble() : ""; };
    controller_.emplace(plan_, std::move(config), *journal_, *balancer_, *channels_, checks_,
                        clock_);
    return {};
  }

  /// The calendar's begin is chosen once and kept, so that a restart changes nothing.
  Result<void> set_begin() {
    const auto kept = COVEY_TRY(journal_->get("begin"));
    Time begin = plan_.begin();
    if (kept) {
      begin = COVEY_TRY(parse_time(*kept));
    } else if (options_.begin == "now") {
      // Room for the first windows of telemetry, which a pre-flight may ask for.
      begin = std::chrono::ceil<std::chrono::seconds>(clock_.wall() + 2 * plan_.window);
    } else if (options_.begin != "as-written") {
      begin = COVEY_TRY(parse_time(options_.begin));
    }
    // On its own: which argument is evaluated first is the compiler's choice.
    const auto later = begin - plan_.begin();
    plan_ = plan::shifted(std::move(plan_), later);
    if (!kept) COVEY_TRY_VOID(journal_->put("begin", format_time(begin)));
    run_name_ = fmt::format("{}-{}", plan_.name, begin.time_since_epoch().count());
    return {};
  }

  Result<void> open_sockets() {
    const http::Url at = COVEY_TRY(http_address(options_.listen, "--listen"));
    host_ = at.host;
    auto acceptor = COVEY_TRY(http::listen(io_, at.host, at.port));
    port_ = acceptor.local_endpoint().port();
    api_acceptor_.emplace(std::move(acceptor));

    const std::string lines = std::filesystem::absolute(folder_.lines()).string();
    settings_.collector = "unix@" + lines;
    line_acceptor_.emplace(COVEY_TRY(haproxy::listen_for_lines(io_, lines)));
    return {};
  }

  static Result<http::Url> http_address(const std::string& text, std::string_view option) {
    // Port 0 takes a free one, which parse_host_port() of a server to be asked refuses.
    if (text.ends_with(":0")) return http::Url{text.substr(0, text.size() - 2), 0, "/"};
    auto out = http::parse_host_port(text);
    if (!out) return fail(Errc::kRejected, fmt::format("{}: {}", option, out.error().message));
    return out;
  }

  Result<void> start_balancer() {
    const std::string at = std::filesystem::absolute(folder_.balancer()).string();
    settings_.files = {at + "/admin.sock", at + "/split.map"};
    settings_.threads = options_.haproxy_threads;
    settings_.trusted = options_.force_from;
    if (const auto faults = settings_.validate(); !faults.empty()) {
      return fail(Errc::kRejected, fmt::format("--force-from: {}", fmt::join(faults, "; ")));
    }
    const auto how = COVEY_TRY(
        haproxy::ensure_running(plan_, settings_, {.path = options_.haproxy, .folder = at}));
    constexpr const char* kHow[] = {"adopted: it ran with this configuration",
                                    "replaced: it ran with another configuration", "started"};
    fmt::print(stderr, "haproxy {} (learners at {})\n", kHow[static_cast<int>(how)], plan_.listen);
    return {};
  }

  Result<void> wire() {
    control::ApiConfig config;
    config.reports = options_.reports;
    config.version = COVEY_VERSION;
    config.effective_config = effective_config(options_, plan_)
                                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    config.more_metrics = [this] { return own_metrics(); };
    config.random = [](std::span<unsigned char> bytes) {
      randombytes_buf(bytes.data(), bytes.size());
    };
    api_.emplace(std::move(config), *controller_, *journal_, tokens_, clock_);
    server_.emplace(io_, std::move(*api_acceptor_), *api_, clock_, http::ServerLimits{});
    haproxy::Receiver::Limits limits;
    limits.owner = ::geteuid();
    // Twice a slot a probe passes through the balancer.
    limits.first_line =
        std::max(limits.first_line, std::chrono::ceil<std::chrono::milliseconds>(2 * plan_.slot));
    haproxy::Receiver::Handlers handlers;
    // One source: two would count every request twice.
    handlers.slots = [this](auto slots) {
      if (!prometheus_) controller_->add_slots(std::move(slots));
    };
    // One of many: enough to choose from, and no lock per request.
    handlers.served = [this](std::string_view learner, std::string_view segment) {
      if (++served_ % 64 == 1) prober_->sample(learner, segment);
    };
    handlers.trouble = [](const std::string& why) { fmt::print(stderr, "{}\n", why); };
    receiver_.emplace(io_, std::move(*line_acceptor_), controller_->shape(), plan_.slot, clock_,
                      limits, std::move(handlers));
    probes::Settings settings;
    settings.compare = options_.compare;
    settings.compares_per_second = options_.compares_per_second;
    probes::Prober::Ports ports;
    ports.levels = [this](auto arm, const auto& levels) { controller_->add_levels(arm, levels); };
    ports.input = [this](rollout::What what) { controller_->submit(std::move(what)); };
    ports.shares = [this]() -> Result<std::pair<plan::BasisPoints, plan::BasisPoints>> {
      const auto seen = COVEY_TRY(balancer_->share());
      return std::pair{seen, controller_->view()->share_seen.value_or(plan::kEveryone + 1)};
    };
    ports.share = [this] { return controller_->view()->share_seen; };
    ports.telemetry_gap = [this] { return telemetry_gap(); };
    ports.dead_channels = [this] { return channels_->dead(); };
    if (plan_.prometheus) {
      prometheus_ = COVEY_TRY(probes::Prometheus::make(
          plan_, controller_->shape(), clock_,
          [this](auto slots) { controller_->add_slots(std::move(slots)); }));
    }
    if (plan_.impacts.fetched()) {
      impacts_ = COVEY_TRY(probes::Impacts::make(
          plan_, clock_, [this](rollout::What what) { controller_->submit(std::move(what)); },
          [this](const std::string& key) { controller_->resolve(key, "experiment"); }));
    }
    // Its addresses were read once already, by HAProxy.
    prober_ = std::move(*probes::Prober::make(plan_, settings, std::move(ports), clock_));
    checks_.start(*prober_);
    return {};
  }

  std::optional<std::string> telemetry_gap() {
    std::optional<std::string> out = "the controller is stopping";
    std::mutex mutex;
    std::condition_variable answered;
    bool done = false;
    const auto posted = controller_->with_books([&](const control::Books& books) {
      const auto last = books.history.last();
      const auto window =
          last ? books.history.between(*last - books.plan.window, *last) : std::nullopt;
      const std::lock_guard lock(mutex);
      if (!window) {
        out = "no telemetry yet";
      } else if (window->missing.count() > 0) {
        out = fmt::format("of the last {:g} s, {:g} s are missing",
                          std::chrono::duration<double>(books.plan.window).count(),
                          std::chrono::duration<double>(window->missing).count());
      } else {
        out.reset();
      }
      done = true;
      answered.notify_one();
    });
    // What was posted is done, stopping or not.
    std::unique_lock lock(mutex);
    if (posted) answered.wait(lock, [&] { return done; });
    return out;
  }

  std::string own_metrics() const {
    const auto& c = receiver_->counters();
    const auto p = prober_->counters();
    http::Exposition out;
    channels_->write(out);
    const auto count = [&](const char* name, const char* help, std::uint64_t value) {
      out.counter(name, help, static_cast<double>(value));
    };
    count("covey_telemetry_lines_total", "Lines of the balancer taken in.", c.lines);
    count("covey_telemetry_lines_lost_total", "Lines whose number never came.", c.lost);
    count("covey_telemetry_lines_late_total", "Lines after their slot was closed.", c.late);
    count("covey_telemetry_garbage_total", "Lines or frames that can't be read.", c.garbage);
    count("covey_telemetry_refused_total",
          "Connections to the telemetry socket that were not the balancer's.", c.refused);
    if (prometheus_) {
      out.gauge("covey_prometheus_source_ok", "1 while Prometheus tells a whole slot each time.",
                prometheus_->trouble().empty() ? 1 : 0);
    }
    count("covey_probes_total", "Health probes through the balancer.", p.probes);
    count("covey_probes_failed_total", "Those without a good answer.", p.probes_failed);
    for (const auto& [segment, seen] : p.segments) {
      out.counter("covey_compared_total", "Learners asked of both services.",
                  static_cast<double>(seen.compared), {{"segment", segment}});
    }
    for (const auto& [segment, seen] : p.segments) {
      out.counter("covey_differed_total", "Those who were answered differently.",
                  static_cast<double>(seen.differed), {{"segment", segment}});
    }
    return out.text();
  }

  /// A balancer that has gone is started again; it begins with the share of the map file.
  void watch_balancer() {
    int away = 0;
    std::unique_lock lock(watch_mutex_);
    while (
        !watch_wake_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_.load(); })) {
      lock.unlock();
      away = balancer_->runtime().process() ? 0 : away + 1;
      if (away >= 2) {
        const auto how = haproxy::ensure_running(
            plan_, settings_,
            {.path = options_.haproxy,
             .folder = std::filesystem::absolute(folder_.balancer()).string()});
        fmt::print(stderr, "haproxy was gone: {}\n", how ? "started again" : how.error().message);
        away = 0;
      }
      lock.lock();
    }
  }

  void wait_for_signal() {
    signals_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      fmt::print(stderr, "stopping\n");
      stop();
    });
  }

  void stop() {
    if (stopping_.exchange(true)) return;
    asio::post(io_, [this] { signals_.cancel(); });
    controller_->stop();
    prober_->stop();
    if (prometheus_) prometheus_->stop();
    if (impacts_) impacts_->stop();
    {
      const std::lock_guard lock(watch_mutex_);
    }
    watch_wake_.notify_all();
    receiver_->stop();
    server_->stop(std::chrono::seconds(options_.grace_s));
  }

  ControlOptions options_;
  RealClock clock_;
  plan::Plan plan_;
  control::Tokens tokens_;
  Folder folder_;
  std::string host_, run_name_;
  std::uint16_t port_ = 0;
  asio::io_context io_{1};
  std::unique_ptr<log::Log> log_;
  std::unique_ptr<control::Journal> journal_;
  haproxy::Settings settings_;
  std::optional<Channels> channels_;
  std::optional<Balancer> balancer_;
  Checks checks_;
  std::optional<control::Controller> controller_;
  std::unique_ptr<probes::Prober> prober_;
  std::unique_ptr<probes::Prometheus> prometheus_;
  std::unique_ptr<probes::Impacts> impacts_;
  std::optional<http::Acceptor> api_acceptor_;
  std::optional<haproxy::LineAcceptor> line_acceptor_;
  std::optional<control::Api> api_;
  std::optional<http::HttpServer> server_;
  std::optional<haproxy::Receiver> receiver_;
  asio::signal_set signals_{io_, SIGINT, SIGTERM};
  std::mutex watch_mutex_;
  std::condition_variable watch_wake_;
  std::atomic<bool> stopping_{false};
  std::uint64_t served_ = 0;
  Result<void> outcome_;
};

Result<Exit> token(const std::string& plan_file, const control::Identity& who) {
  const plan::Plan plan = COVEY_TRY(read_plan(plan_file));
  const plan::Role* role = plan.role(who.role);
  if (role == nullptr || std::ranges::find(role->people, who.person) == role->people.end()) {
    return fail(Errc::kRejected,
                fmt::format("{} does not hold the role {} in {}", who.person, who.role, plan_file));
  }
  COVEY_CHECK(sodium_init() >= 0);
  std::array<unsigned char, 32> bytes;
  randombytes_buf(bytes.data(), bytes.size());
  const std::string text = control::token_text(bytes);
  fmt::print("{}\n", text);
  fmt::print(stderr,
             "Give the line above to {} and nobody else; it is not kept. Add this to the tokens "
             "file, under `tokens:`\n{}",
             who.person, control::token_line(who, text));
  return Exit::kDone;
}

}  // namespace

void add_control(CLI::App& app, Run& run) {
  auto options = std::make_shared<ControlOptions>();
  CLI::App* command = app.add_subcommand(
      "control", "Follow a plan on live traffic: split, measure, decide, roll back");
  command->footer(
      "Needs HAProxy 2.6. It keeps running when this ends, with the share it has; the next start "
      "adopts it.\ndocs/rollout.md tells the whole story, docs/plans.md every key of a plan.");
  command->require_subcommand(0, 1);
  auto* plan = command->add_option("--plan", options->plan, "The calendar, YAML");
  command->add_option("--listen", options->listen, "HOST:PORT of the API; port 0 takes a free one")
      ->capture_default_str();
  auto* journal = command->add_option("--journal", options->journal,
                                      "Folder of the journal and of the balancer's files");
  command->add_option("--tokens", options->tokens,
                      "Who may act, YAML (`covey control token` makes entries); without it nobody");
  options->reports = "reports";
  command->add_option("--reports", options->reports, "Folder that reports are written to")
      ->capture_default_str();
  options->begin = "as-written";
  command
      ->add_option("--begin", options->begin,
                   "When the calendar begins: as-written, now, or a time; chosen at the first "
                   "start and kept")
      ->capture_default_str();
  command->add_option("--haproxy", options->haproxy, "The balancer's program")
      ->capture_default_str();
  command->add_option("--haproxy-threads", options->haproxy_threads, "Its threads")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  command
      ->add_option("--force-from", options->force_from,
                   "Addresses or networks whose X-Covey-Arm puts a request on an arm, "
                   "comma-separated; nobody's by default")
      ->delimiter(',');
  command
      ->add_option("--compare", options->compare,
                   "What is asked of both services and compared, for learners just served")
      ->capture_default_str();
  command
      ->add_option("--compares-per-second", options->compares_per_second,
                   "At most so many learners; 0: none")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--link", options->link, "Address of this API in messages to people");
  command->add_option("--grace", options->grace_s, "Seconds a request in flight has at stop")
      ->capture_default_str();
  command->callback([options, command, plan, journal, &run] {
    if (!command->get_subcommands().empty()) return;
    if (plan->empty() || journal->empty()) {
      throw CLI::RequiredError("--plan FILE and --journal DIR");
    }
    run = [options] { return ControlPlane(*options).run(); };
  });

  auto who = std::make_shared<control::Identity>();
  auto plan_file = std::make_shared<std::string>();
  CLI::App* one = command->add_subcommand("token", "Make a token for somebody of the plan");
  one->add_option("--plan", *plan_file, "The calendar, YAML")->required();
  one->add_option("--person", who->person, "As the plan's roles have it")->required();
  one->add_option("--role", who->role, "One of the person's roles")->required();
  one->callback(
      [who, plan_file, &run] { run = [who, plan_file] { return token(*plan_file, *who); }; });
}

}  // namespace covey::app
