#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include "analyzer/json.h"
#include "app/allocator.h"
#include "app/commands.h"
#include "app/experiment_analysis.h"
#include "app/experiment_file.h"
#include "app/files.h"
#include "app/formats.h"
#include "app/progress.h"
#include "app/start_thread.h"
#include "app/store.h"
#include "base/scheduling.h"
#include "experiment/report.h"
#include "experiment/wording.h"
#include "http/server.h"
#include "learners/traits.h"
#include "service/drill.h"
#include "service/routes/api.h"

namespace covey::app {
namespace {

namespace asio = boost::asio;

struct ServeOptions {
  StoreOptions store;
  std::string listen = "127.0.0.1:8080", xapi_map, k = "auto", drill;
  std::vector<std::string> experiments;
  std::uint64_t analyze_s = 300;
  std::uint64_t seed = 1, rediscover_s = 300, grace_s = 10, queue_mib = 256;
  std::uint64_t snapshot_events = analyzer::Limits{}.snapshot_events;
  double link_mbit = 0;
};

struct Address {
  std::string host;
  std::uint16_t port = 0;
};

Result<Address> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const auto bad = [&] {
    return fail(Errc::kRejected,
                fmt::format("--listen {}: write HOST:PORT, such as "
                            "127.0.0.1:8080 or [::1]:8080; port 0 takes a free one",
                            text));
  };
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) return bad();
  const std::string digits = text.substr(colon + 1);
  if (digits.size() > 5 ||
      !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) {
    return bad();
  }
  const unsigned long port = std::stoul(digits);
  if (port > 65535) return bad();
  std::string host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return Address{host, static_cast<std::uint16_t>(port)};
}

// Who asks comes first, then events that came, with a sixth of what a thread that asks may take,
// last discovery, which takes a second.
constexpr int kIngestBehind = 8;
constexpr int kBehind = 19;
// Without practice for so long a learner has no traits (docs/traits.md).
constexpr std::chrono::weeks kAllDormantAfter{learners::kWindowWeeks};

/// Threads for what takes long, so that look-ups never share theirs with it.
class Background {
 public:
  /// What they free: given back after a while, or kept for their next task.
  enum class Freed { kGoesBack, kIsKept };
  Background(unsigned threads, int niceness, Freed freed) {
    for (unsigned i = 0; i < threads; ++i) {
      threads_.push_back(start_thread([this, niceness, freed] {
        step_back(niceness);
        if (freed == Freed::kIsKept) keep_memory_of_this_thread();
        work();
      }));
    }
  }
  ~Background() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
  }
  void post(std::function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

 private:
  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

std::string effective_config(const ServeOptions& o, unsigned threads) {
  const nlohmann::ordered_json out = {
      {"data", o.store.data},
      {"listen", o.listen},
      {"engine", o.store.engine},
      {"as_of", o.store.as_of},
      {"threads", threads},
      {"memory_mib", o.store.memory_mib},
      {"queue_mib", o.queue_mib},
      {"snapshot_events", o.snapshot_events},
      {"rediscover_s", o.rediscover_s},
      {"experiments", o.experiments},
      {"analyze_s", o.analyze_s},
      {"k", o.k},
      {"seed", o.seed},
      {"xapi_map", o.xapi_map.empty() ? "built-in" : o.xapi_map},
      {"grace_s", o.grace_s},
      {"link_speed_mbit", o.link_mbit},
  };
  return analyzer::dump(out, false);
}

/// Everything a running service is made of. Members are destroyed from the last to the first, so
/// each may use those above it.
class Service {
 public:
  Service(const ServeOptions& options, service::ApiConfig config, http::Acceptor acceptor,
          std::unique_ptr<asio::io_context> io, std::vector<experiment::Experiment> experiments)
      : options_(options),
        threads_(thread_count(options.store.threads)),
        io_(std::move(io)),
        ingest_pool_(threads_, kIngestBehind),
        discovery_pool_(std::max(1u, threads_ - 1), kBehind),  // a core is for who asks
        api_(std::move(config), door_, clock_, discovery_pool_,
             {.discovery = [this](auto task) { background_.post(std::move(task)); },
              .readers = [this](auto task) { readers_.post(std::move(task)); },
              .parsers = [this](auto task) { parsers_.post(std::move(task)); }}),
        background_(1, kBehind, Background::Freed::kIsKept),
        readers_(1, kBehind, Background::Freed::kIsKept),
        parsers_(threads_, kIngestBehind, Background::Freed::kGoesBack),
        driller_(api_),
        server_(*io_, std::move(acceptor),
                options.drill.empty() ? static_cast<http::Handler&>(api_) : driller_, clock_,
                http::ServerLimits{}),
        signals_(*io_, SIGINT, SIGTERM),
        experiments_(std::move(experiments)),
        timer_(*io_),
        analysis_timer_(*io_),
        drill_timer_(*io_) {
    api_.watch(server_.counters());
    for (const experiment::Experiment& e : experiments_) {
      service::ExperimentView view;
      view.name = e.name;
      view.question = e.question;
      api_.experiments().put(std::move(view));
    }
    if (!options.drill.empty()) watch_drill();
  }

  Result<Exit> run() {
    fmt::print(stderr, "listening on http://{}:{}\n", host(), server_.port());
    server_.start();
    wait_for_signal();
    std::jthread recovery = start_thread([this] { recover(); });
    {
      std::vector<std::jthread> io_threads;
      for (unsigned i = 0; i < threads_; ++i) {
        io_threads.push_back(start_thread([this] {
          want_short_slices();
          io_->run();
        }));
      }
    }
    recovery.join();
    if (analyzer_) {
      fmt::print(stderr, "stopping: storing what is queued\n");
      analyzer_->stop();
      ingest_.join();
    }
    if (failure_) return std::unexpected(*failure_);
    fmt::print(stderr, "stopped\n");
    return Exit::kDone;
  }

 private:
  std::string host() const { return options_.listen.substr(0, options_.listen.rfind(':')); }

  void wait_for_signal() {
    signals_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      // Once more means now: the second signal cuts what is still in flight.
      const std::chrono::seconds grace(stopping_ ? 0 : options_.grace_s);
      if (!stopping_)
        fmt::print(stderr, "stopping: no new connections, {} s for the rest\n", grace.count());
      stopping_ = true;
      stop(grace);
      if (grace.count() > 0) wait_for_signal();
    });
  }

  void stop(std::chrono::seconds grace) {
    door_.drain();
    timer_.cancel();
    analysis_timer_.cancel();
    drill_timer_.cancel();
    server_.stop(grace);
    // The signal set alone must not keep the context running.
    if (grace.count() == 0)
      signals_.cancel();
    else
      watch_end();
  }

  void watch_end() {
    timer_.expires_after(std::chrono::milliseconds(50));
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      if (server_.counters().connections.load() == 0) {
        signals_.cancel();
      } else {
        watch_end();
      }
    });
  }

  void watch_drill() {
    // An absent file is no drill. What can't be read is told once, and changes nothing.
    const auto text = read_file(options_.drill, 4096);
    const std::string now = text ? *text : "";
    if (now != drill_text_) {
      drill_text_ = now;
      if (auto drill = service::Drill::parse(now)) {
        fmt::print(stderr, "drill: {}\n", now.empty() ? "over" : now);
        driller_.set(std::move(*drill));
      } else {
        fmt::print(stderr, "drill: {}\n", drill.error().message);
      }
    }
    drill_timer_.expires_after(std::chrono::milliseconds(200));
    drill_timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error && !stopping_) watch_drill();
    });
  }

  void recover() {
    auto opened = open();
    if (!opened) {
      failure_ = opened.error();
      asio::post(*io_, [this] { stop(std::chrono::seconds(0)); });
      return;
    }
    ingest_ = start_thread([this] {
      step_back(kIngestBehind);
      const auto done = analyzer_->run_ingest();
      if (done) return;
      failure_ = done.error();
      asio::post(*io_, [this] { stop(std::chrono::seconds(0)); });
    });
    door_.open(*analyzer_);
    fmt::print(stderr, "ready: {}, engine {}, as of {}\n",
               counted(analyzer_->engine().learners(), "learner"), options_.store.engine,
               options_.store.as_of == "now" ? "now" : format_time(analyzer_->as_of()));
    const std::int64_t newest_us = analyzer_->counters().newest_event_us;
    const Time newest{std::chrono::microseconds(newest_us)};
    if (newest_us != 0 && analyzer_->as_of() - newest > kAllDormantAfter) {
      fmt::print(stderr,
                 "note: the newest event is of {}, so every learner is dormant and there are no "
                 "cohorts; --as-of latest answers as of then\n",
                 format_time(newest));
    }
    asio::post(*io_, [this] {
      rediscover_after(std::chrono::seconds(0));
      if (!experiments_.empty()) analyze_after(std::chrono::seconds(0));
    });
  }

  Result<void> open() {
    analyzer::Analyzer::Config config;
    config.engine = options_.store.engine;
    config.as_of = COVEY_TRY(parse_as_of(options_.store.as_of));
    config.limits.memory_bytes_max = options_.store.memory_mib << 20;
    config.limits.queue_bytes_max = options_.queue_mib << 20;
    config.limits.snapshot_events = options_.snapshot_events;
    log::RocksLimits limits;
    limits.step_back = true;
    limits.flush_niceness = kIngestBehind;
    log_ = COVEY_TRY(
        log::open_rocks_log(options_.store.data, log::Access::kReadWrite, limits, clock_));
    Progress bar(clock_, "recovering");
    analyzer_ = COVEY_TRY(analyzer::Analyzer::open(config, *log_, clock_, ingest_pool_,
                                                   [&](const analyzer::Progress& p) {
                                                     door_.report(p);
                                                     bar.update(p.done, p.total, p.what);
                                                   }));
    if (options_.store.as_of == "latest" && analyzer_->engine().learners() > 0) {
      analyzer_->pin(Time(std::chrono::microseconds(analyzer_->counters().newest_event_us.load())));
    }
    return {};
  }

  void rediscover_after(std::chrono::seconds delay) {
    if (stopping_) return;
    timer_.expires_after(delay);
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error || stopping_) return;
      background_.post([this] {
        // A run asked for over HTTP at this moment does as well; anything else is worth a line.
        if (const auto run = api_.rediscover(); !run && run.error().code != Errc::kRetryLater) {
          fmt::print(stderr, "discovery failed: {}\n", run.error().message);
        }
        if (options_.rediscover_s == 0) return;  // once, at start
        asio::post(*io_, [this] { rediscover_after(std::chrono::seconds(options_.rediscover_s)); });
      });
    });
  }

  void analyze_after(std::chrono::seconds delay) {
    if (stopping_) return;
    analysis_timer_.expires_after(delay);
    analysis_timer_.async_wait([this](const boost::system::error_code& error) {
      if (error || stopping_) return;
      background_.post([this] {
        for (const experiment::Experiment& e : experiments_) {
          if (!stopping_) analyze(e);
        }
        asio::post(*io_, [this] { analyze_after(std::chrono::seconds(options_.analyze_s)); });
      });
    });
  }

  void analyze(const experiment::Experiment& e) {
    const auto began = clock_.now();
    const auto before = api_.experiments().find(e.name);
    service::ExperimentView view = *before;
    const auto analysis =
        analyze_log(e, analyzer_->as_of(), *log_, discovery_pool_, [](auto...) {});
    if (!analysis) {
      // Said once, not at every attempt.
      if (view.fault != analysis.error().message) {
        fmt::print(stderr, "experiment {}: {}\n", e.name, analysis.error().message);
      }
      view.fault = analysis.error().message;
    } else {
      view.fault.clear();
      view.decision = std::string(experiment::name(analysis->decision));
      view.verdict = analysis->verdict;
      view.json = to_json(*analysis);
      view.html = to_html(*analysis);
      view.as_of = analysis->as_of;
      view.made = clock_.wall();
      view.took = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - began);
    }
    api_.experiments().put(std::move(view));
  }

  const ServeOptions& options_;
  unsigned threads_;
  RealClock clock_;
  std::unique_ptr<asio::io_context> io_;
  std::unique_ptr<log::Log> log_;
  ThreadPool ingest_pool_, discovery_pool_;
  std::unique_ptr<analyzer::Analyzer> analyzer_;
  service::Door door_;
  service::Api api_;
  Background background_, readers_, parsers_;
  service::Driller driller_;
  http::HttpServer server_;
  asio::signal_set signals_;
  std::vector<experiment::Experiment> experiments_;
  asio::steady_timer timer_, analysis_timer_, drill_timer_;
  std::string drill_text_;
  std::optional<Error> failure_;
  std::atomic<bool> stopping_{false};
  std::jthread ingest_;
};

Result<Exit> serve(const ServeOptions& options) {
  // By a thread that has stepped back, as will the one that gives back then.
  start_thread([] {
    step_back(kIngestBehind + 1);
    return_memory_soon();
  }).join();
  const Address address = COVEY_TRY(parse_address(options.listen));
  COVEY_TRY(parse_as_of(options.store.as_of));
  service::ApiConfig config;
  config.version = COVEY_VERSION;
  config.instance = fmt::format("{:08x}{:08x}", std::random_device()(), std::random_device()());
  config.effective_config = effective_config(options, thread_count(options.store.threads));
  config.xapi = COVEY_TRY(load_xapi_mapping(options.xapi_map));
  config.discovery.seed = options.seed;
  config.link_bytes_per_second = options.link_mbit * 1e6 / 8;
  if (options.k != "auto") config.discovery.k = static_cast<std::uint32_t>(std::stoul(options.k));
  if (const auto faults = config.validate(); !faults.empty()) {
    return fail(Errc::kRejected, fmt::format("{}", fmt::join(faults, "; ")));
  }
  std::vector<experiment::Experiment> experiments;
  for (const std::string& file : options.experiments) {
    experiments.push_back(COVEY_TRY(read_experiment(file)));
    const auto same =
        std::ranges::count(experiments, experiments.back().name, &experiment::Experiment::name);
    if (same > 1) {
      return fail(Errc::kRejected, fmt::format("{}: another file has the experiment {}, too", file,
                                               experiments.back().name));
    }
  }
  auto io =
      std::make_unique<asio::io_context>(static_cast<int>(thread_count(options.store.threads)));
  auto acceptor = COVEY_TRY(http::listen(*io, address.host, address.port));
  fmt::print(stderr, "configuration {}\n", config.effective_config);
  Service service(options, std::move(config), std::move(acceptor), std::move(io),
                  std::move(experiments));
  return service.run();
}

}  // namespace

void add_serve(CLI::App& app, Run& run) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand(
      "serve", "Take in events, keep the cohorts fresh and answer look-ups over HTTP");
  options->store.add_data(*command);
  options->store.add_engine(*command);
  options->store.add_as_of(*command);
  options->store.add_threads(*command);
  command->add_option("--listen", options->listen, "HOST:PORT; port 0 takes a free one")
      ->capture_default_str();
  command
      ->add_option("--memory", options->store.memory_mib,
                   "Ceiling for learners and log in MiB; beyond it events are refused with 503. "
                   "0: none")
      ->capture_default_str();
  command
      ->add_option("--queue", options->queue_mib,
                   "MiB of events waiting to be parsed and stored; beyond "
                   "it events are refused with 429, and a longer body unless nothing else waits")
      ->check(CLI::Range(1u, 65536u))
      ->capture_default_str();
  command
      ->add_option("--snapshot-events", options->snapshot_events,
                   "Take a snapshot after this many events; with millions of learners, "
                   "after as many for each million")
      ->check(positive())
      ->capture_default_str();
  command
      ->add_option("--rediscover", options->rediscover_s,
                   "Seconds between discoveries; 0: only at start and when asked")
      ->capture_default_str();
  command
      ->add_option("--experiment", options->experiments,
                   "File of an experiment to analyse and serve at /v1/experiments; again for more")
      ->type_name("FILE");
  command
      ->add_option("--analyze", options->analyze_s, "Seconds between analyses of the experiments")
      ->check(positive())
      ->capture_default_str();
  command->add_option("--k", options->k, "Number of cohorts: auto or 3 to 8")
      ->check([](const std::string& text) {
        return text == "auto" ? std::string() : CLI::Range(3, 8)(const_cast<std::string&>(text));
      })
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Seed of discovery")->capture_default_str();
  command->add_option("--xapi-map", options->xapi_map, "Table from xAPI verbs to event types");
  command
      ->add_option("--link-speed", options->link_mbit,
                   "Mbit/s that this machine's network links can carry together, where the kernel "
                   "does not know (a virtual machine). 0: as the kernel says")
      ->check(CLI::Range(0.0, 1e7))
      ->capture_default_str();
  command->add_option("--drill", options->drill,
                      "For drills only: while this file exists, misbehave as it says, such as "
                      "\"latency=300ms errors=20% segment=europe\"");
  command->add_option("--grace", options->grace_s, "Seconds a request in flight has at stop")
      ->capture_default_str();
  command->callback([options, &run] { run = [options] { return serve(*options); }; });
}

}  // namespace covey::app
