#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/child.h"
#include "app/commands.h"
#include "app/interruption.h"
#include "app/progress.h"
#include "app/real_clock.h"
#include "app/start_thread.h"
#include "app/thread_pool.h"
#include "base/text.h"
#include "config/units.h"
#include "http/client.h"
#include "load/report.h"
#include "scale/process_figures.h"
#include "scale/report.h"

namespace covey::app {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using load::Kind;
using std::chrono::nanoseconds;

struct ScaleTestOptions {
  std::string learners = "500K,1M,2.5M,5M", phase = "20s", out = "scale-report", work, most = "8m";
  double events_per_learner = 12, rate = 5'000, ingest = 20'000;
  std::uint64_t memory_mib = 0, seed = 1;
  bool keep = false, json = false;
};

// What `covey serve` gets beside the store: small enough that overload shows within seconds.
constexpr std::uint64_t kQueueMib = 16;
constexpr std::size_t kOverloadConnections = 512;
constexpr std::size_t kSampled = 200;
constexpr std::size_t kDiscoveriesAlone = 3;
constexpr std::size_t kAskers = 8;
constexpr std::uint32_t kBatch = 1'000;
/// Longer than it may take to be back, however short the other phases are.
constexpr auto kAfter = 8s;
/// Memory beside the learners: log buffers, known ids, what is in flight.
constexpr std::uint64_t kFixedMib = 768, kBytesALearner = 1'000;

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Result<void> spill(const fs::path& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) return fail(Errc::kFailed, fmt::format("cannot write {}", path.string()));
  return {};
}

Result<std::vector<std::uint64_t>> parse_sizes(std::string_view text) {
  std::vector<std::uint64_t> out;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    more = comma != text.npos;
    const std::string_view one = text.substr(0, comma);
    double value = 0;
    const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), value);
    const std::string_view unit(end, static_cast<std::size_t>(one.data() + one.size() - end));
    if (unit == "K") value *= 1e3;
    if (unit == "M") value *= 1e6;
    if (error != std::errc() || (!unit.empty() && unit != "K" && unit != "M") ||
        !(value >= 1'000 && value <= 1e8)) {
      return fail(
          Errc::kRejected,
          fmt::format("--learners {}: write numbers from 1K to 100M, such as 500K,2.5M", one));
    }
    out.push_back(static_cast<std::uint64_t>(std::llround(value)));
    if (more) text.remove_prefix(comma + 1);
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

scale::Machine this_machine() {
  scale::Machine m;
  const std::string cpus = slurp("/proc/cpuinfo");
  if (const std::size_t at = cpus.find("model name"); at != cpus.npos) {
    const std::size_t begin = cpus.find(": ", at) + 2;
    m.cpu = cpus.substr(begin, cpus.find('\n', begin) - begin);
  }
  m.cores = std::thread::hardware_concurrency();
  m.memory_bytes = scale::kilobytes_field(slurp("/proc/meminfo"), "MemTotal").value_or(0);
  std::string kernel = slurp("/proc/sys/kernel/osrelease");
  m.kernel = "Linux " + kernel.substr(0, kernel.find('\n'));
  std::istringstream(slurp("/proc/loadavg")) >> m.load_average;
  return m;
}

/// Seconds of processor time that a process has used; nothing where it is gone.
std::optional<double> cpu_seconds(pid_t pid) {
  const auto ticks = scale::cpu_ticks(slurp(fmt::format("/proc/{}/stat", pid)));
  if (!ticks) return std::nullopt;
  return static_cast<double>(*ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::optional<std::uint64_t> memory(pid_t pid, std::string_view field) {
  return scale::kilobytes_field(slurp(fmt::format("/proc/{}/status", pid)), field);
}

/// Looks at a process twice a second while it lives.
class Sampler {
 public:
  Sampler(pid_t pid, const Clock& clock)
      : thread_(start_thread(
            [this, pid, &clock](const std::stop_token& stop) { watch(pid, clock, stop); })) {}
  std::vector<scale::Sample> take() {
    thread_.request_stop();
    thread_.join();
    return std::move(samples_);
  }

 private:
  void watch(pid_t pid, const Clock& clock, const std::stop_token& stop) {
    const nanoseconds begun = clock.now();
    nanoseconds before = begun;
    auto cpu_before = cpu_seconds(pid);
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(500ms);
      const nanoseconds now = clock.now();
      const auto cpu = cpu_seconds(pid);
      const auto resident = memory(pid, "VmRSS");
      if (!cpu || !cpu_before || !resident) return;
      samples_.push_back(
          {std::chrono::duration<double>(now - begun).count(),
           (*cpu - *cpu_before) / std::chrono::duration<double>(now - before).count(), *resident});
      before = now;
      cpu_before = cpu;
    }
  }
  std::vector<scale::Sample> samples_;
  std::jthread thread_;
};

/// The test of one number of learners, in a folder of its own.
class SizeTest {
 public:
  SizeTest(const ScaleTestOptions& options, std::uint64_t learners, fs::path folder,
           const Clock& clock, nanoseconds phase, nanoseconds most)
      : options_(options),
        folder_(std::move(folder)),
        clock_(clock),
        phase_(phase),
        deadline_(clock.now() + most),
        begun_(clock.now()) {
    size_.learners = learners;
    size_.events_per_learner = options.events_per_learner;
    const std::uint64_t mib = options.memory_mib > 0
                                  ? options.memory_mib
                                  : kFixedMib + ((learners * kBytesALearner) >> 20);
    size_.ceiling_bytes = mib << 20;
    today_ = Time(std::chrono::floor<std::chrono::days>(clock.wall()));
    prefix_ = fmt::format("scale-{:08x}-", std::random_device()());
  }

  /// All phases in turn; one that fails says why in the result, and those it leaves possible go on.
  scale::SizeResult run() {
    if (phase("loading", &SizeTest::import) && phase("starting", &SizeTest::first_start) &&
        phase("discovering alone", &SizeTest::discover_alone)) {
      phase("killing", &SizeTest::kill_and_recover);
      phase("serving", &SizeTest::serve_mixed);
      phase("overloading", &SizeTest::overload);
    }
    note_peak();
    server_.reset();
    size_.seconds = seconds_since(begun_);
    return std::move(size_);
  }

 private:
  double seconds_since(nanoseconds then) const {
    return std::chrono::duration<double>(clock_.now() - then).count();
  }

  bool phase(const char* name, Result<void> (SizeTest::*work)()) {
    if (interrupted) return false;
    if (clock_.now() > deadline_) {
      size_.failures.push_back(fmt::format("{}: no time was left (--most)", name));
      return false;
    }
    phase_name_ = fmt::format("{} learners, {}", grouped(size_.learners), name);
    const nanoseconds begun = clock_.now();
    const Result<void> done = (this->*work)();
    if (!done && !interrupted)
      size_.failures.push_back(fmt::format("{}: {}", name, done.error().message));
    fmt::print(stderr, "{}: {} in {:.1f} s{}\n", phase_name_, done ? "done" : "failed",
               seconds_since(begun), done ? "" : ": " + done.error().message);
    return done.has_value();
  }

  /// Asks until `done` says so; kFailed after `limit`, at the deadline, or when interrupted.
  Result<void> wait(std::string_view what, nanoseconds limit, Progress& bar,
                    const std::function<Result<bool>()>& done,
                    const std::function<std::pair<std::uint64_t, std::uint64_t>()>& far = {}) {
    const nanoseconds begun = clock_.now();
    for (;;) {
      if (COVEY_TRY(done())) return {};
      if (interrupted) return fail(Errc::kFailed, "interrupted");
      const nanoseconds now = clock_.now();
      if (now - begun > limit || now > deadline_) {
        return fail(Errc::kFailed,
                    fmt::format("{} took longer than {:.0f} s", what, seconds_since(begun)));
      }
      const auto [at, of] = far ? far() : std::pair<std::uint64_t, std::uint64_t>{};
      bar.update(at, of, what);
      std::this_thread::sleep_for(5ms);
    }
  }

  std::string tail(const fs::path& log) const {
    std::string text = slurp(log);
    if (text.size() > 300) text = text.substr(text.size() - 300);
    std::ranges::replace(text, '\n', ' ');
    return text;
  }

  // Loading.

  Result<void> import() {
    int pipe[2], out[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) {
      return fail(Errc::kFailed, "no pipe");
    }
    const nanoseconds begun = clock_.now();
    const fs::path simulate_log = folder_ / "simulate.log", import_log = folder_ / "import.log";
    auto simulate = Child::start(
        {self_, "simulate", "--learners", std::to_string(size_.learners), "--events-per-learner",
         fmt::format("{:g}", options_.events_per_learner), "--seed", std::to_string(options_.seed),
         "--end", format_time(today_ - std::chrono::days(1)), "--out", "-"},
        -1, pipe[1], simulate_log);
    auto import = Child::start({self_, "import", "--data", data(), "--format", "ndjson", "--source",
                                "simulated", "-", "--json"},
                               pipe[0], out[1], import_log);
    for (const int fd : {pipe[0], pipe[1], out[1]}) ::close(fd);
    struct Close {
      int fd;
      ~Close() { ::close(fd); }
    } const close{out[0]};
    if (!simulate) return std::unexpected(simulate.error());
    if (!import) return std::unexpected(import.error());
    Progress bar(clock_, phase_name_);
    // About 160 bytes an event; the kernel counts what came through the pipe.
    const auto expected = static_cast<std::uint64_t>(static_cast<double>(size_.learners) *
                                                     options_.events_per_learner * 160);
    const std::string io = fmt::format("/proc/{}/io", import->pid());
    const auto far = [&]() -> std::pair<std::uint64_t, std::uint64_t> {
      const std::string text = slurp(io);
      std::uint64_t read = 0;
      if (const std::size_t at = text.find("rchar: "); at != text.npos) {
        std::from_chars(text.data() + at + 7, text.data() + text.size(), read);
      }
      return {read, expected};
    };
    std::optional<Child::End> ended;
    COVEY_TRY_VOID(wait(
        "importing", deadline_ - clock_.now(), bar,
        [&]() -> Result<bool> { return (ended = import->ended()).has_value(); }, far));
    size_.import_s = seconds_since(begun);
    std::string receipt;
    char room[4096];
    for (ssize_t n; (n = ::read(close.fd, room, sizeof room)) > 0;) {
      receipt.append(room, static_cast<std::size_t>(n));
    }
    if (ended->code != 0) {
      return fail(Errc::kFailed,
                  fmt::format("covey import ended with {}: {}", ended->code, tail(import_log)));
    }
    std::optional<Child::End> made;
    COVEY_TRY_VOID(wait("simulating", 10s, bar,
                        [&]() -> Result<bool> { return (made = simulate->ended()).has_value(); }));
    if (made->code != 0) {
      return fail(Errc::kFailed,
                  fmt::format("covey simulate ended with {}: {}", made->code, tail(simulate_log)));
    }
    const auto told = nlohmann::json::parse(receipt, nullptr, false);
    const auto counted = scale::read_receipt(receipt);
    if (!counted || counted->rejected > 0 || counted->duplicates > 0 ||
        told.value("learners", nlohmann::json()) != nlohmann::json(size_.learners)) {
      return fail(Errc::kFailed, "covey import did not take all as new: " + receipt);
    }
    size_.import_cpu_s = std::chrono::duration<double>(ended->cpu).count();
    size_.events = counted->accepted;
    std::error_code error;
    for (fs::recursive_directory_iterator file(data(), error), end; !error && file != end;
         file.increment(error)) {
      std::error_code gone;
      const auto bytes = file->is_regular_file(gone) ? file->file_size(gone) : 0;
      if (!gone) size_.disk_bytes += bytes;
    }
    if (error) return fail(Errc::kFailed, fmt::format("{}: {}", data(), error.message()));
    return {};
  }

  // The server.

  struct Server {
    Child process;
    http::Url url;
    std::unique_ptr<http::Client> client;
  };

  std::string data() const { return (folder_ / "store").string(); }

  /// Starts `covey serve`; returns seconds until it was ready.
  Result<double> start() {
    const fs::path log = folder_ / fmt::format("serve-{}.log", ++starts_);
    const nanoseconds begun = clock_.now();
    auto process = COVEY_TRY(
        Child::start({self_, "serve", "--data", data(), "--listen", "127.0.0.1:0", "--engine",
                      "fast", "--memory", std::to_string(size_.ceiling_bytes >> 20), "--queue",
                      std::to_string(kQueueMib), "--rediscover", "0"},
                     -1, -1, log));
    Progress bar(clock_, phase_name_);
    std::optional<http::Url> url;
    const auto alive = [&]() -> Result<void> {
      if (const auto ended = process.ended()) {
        return fail(Errc::kFailed,
                    fmt::format("covey serve ended with {}: {}", ended->code, tail(log)));
      }
      return {};
    };
    COVEY_TRY_VOID(wait("starting", 60s, bar, [&]() -> Result<bool> {
      COVEY_TRY_VOID(alive());
      const std::string said = slurp(log);
      constexpr std::string_view kSays = "listening on ";
      const std::size_t at = said.find(kSays);
      if (at == said.npos) return false;
      const std::size_t end = said.find('\n', at);
      if (end == said.npos) return false;
      url = COVEY_TRY(http::parse_url(said.substr(at + kSays.size(), end - at - kSays.size())));
      return true;
    }));
    auto client = std::make_unique<http::Client>(*url);
    COVEY_TRY_VOID(wait("getting ready", 300s, bar, [&]() -> Result<bool> {
      COVEY_TRY_VOID(alive());
      const auto answer = client->ask({.target = "/readyz"}, 5s);
      return answer && answer->status == 200;
    }));
    const double took = seconds_since(begun);
    server_.emplace(Server{std::move(process), *url, std::move(client)});
    return took;
  }

  void note_peak() {
    if (!server_) return;
    if (const auto peak = memory(server_->process.pid(), "VmHWM")) {
      size_.peak_resident = std::max(size_.peak_resident.value_or(0), *peak);
    }
  }

  Result<http::Answer> ask(const http::Ask& what, std::chrono::milliseconds patience) {
    if (!server_) return fail(Errc::kFailed, "there is no server");
    return server_->client->ask(what, patience);
  }

  Result<void> first_start() {
    size_.first_ready_s = COVEY_TRY(start());
    return {};
  }

  /// One discovery of ours, once the server's own is over.
  Result<double> discover() {
    Progress bar(clock_, phase_name_);
    double took = 0;
    COVEY_TRY_VOID(wait("discovering", 300s, bar, [&]() -> Result<bool> {
      const nanoseconds begun = clock_.now();
      const auto answer =
          COVEY_TRY(ask({.method = "POST", .target = "/v1/discover", .body = "{}"}, 300s));
      took = seconds_since(begun);
      if (answer.status == 409) {
        std::this_thread::sleep_for(20ms);
        return false;
      }
      if (answer.status != 200) {
        return fail(Errc::kFailed, fmt::format("POST /v1/discover: {} {}", answer.status,
                                               answer.body.substr(0, 200)));
      }
      return true;
    }));
    return took;
  }

  /// Until the known ids are read: a core is busy with them, and events wait.
  Result<void> wait_until_it_takes_events() {
    Progress bar(clock_, phase_name_);
    return wait("reading known ids", 300s, bar, [&]() -> Result<bool> {
      const auto answer = COVEY_TRY(ask({.target = "/readyz"}, 5s));
      return answer.status == 200 && answer.body.find("queued") == answer.body.npos;
    });
  }

  Result<void> discover_alone() {
    COVEY_TRY_VOID(wait_until_it_takes_events());
    COVEY_TRY(discover());  // the first pays for what the others find warm
    const pid_t pid = server_->process.pid();
    const auto before = cpu_seconds(pid);
    for (std::size_t i = 0; i < kDiscoveriesAlone; ++i) {
      size_.discovery_s.push_back(COVEY_TRY(discover()));
    }
    const auto after = cpu_seconds(pid);
    if (before && after) {
      size_.discovery_cpu_s = (*after - *before) / static_cast<double>(kDiscoveriesAlone);
    }
    size_.resident = memory(pid, "VmRSS");
    return {};
  }

  // Loads.

  load::Settings settings(const char* name, nanoseconds length) const {
    load::Settings s;
    s.target = server_->url;
    s.duration = std::chrono::duration_cast<std::chrono::microseconds>(length);
    s.seed = options_.seed;
    s.learners.simulated = static_cast<std::uint32_t>(size_.learners);
    // A right answer is about the learner that was asked for.
    s.expect = R"("learner":"{learner}")";
    s.batches.population.learners = static_cast<std::uint32_t>(size_.learners);
    s.batches.population.events_per_learner = options_.events_per_learner;
    s.batches.population.days = 7;
    s.batches.population.seed = options_.seed + 1;
    s.batches.population.end = today_;
    s.batches.events = kBatch;
    s.batches.id_prefix = prefix_ + name + "-";
    s.lane(Kind::kLookUp) = {.per_second = options_.rate, .connections = 32};
    s.lane(Kind::kIngest) = {.per_second = options_.ingest / kBatch, .connections = 8};
    return s;
  }

  /// Everything at once: look-ups, ingest, discoveries one after another.
  load::Settings mixed(const char* name, nanoseconds length) const {
    load::Settings s = settings(name, length);
    s.lane(Kind::kDiscover) = {.one_after_another = true, .connections = 1};
    s.patience = 60s;  // of a discovery of millions; look-ups are judged by their P99
    return s;
  }

  Result<load::Generator> make(const load::Settings& s) {
    return load::Generator::make(s, clock_, thread_cpu);
  }

  /// Runs a load with its progress; `meanwhile` runs on a thread of its own.
  load::Totals run_load(load::Generator& generator, const std::function<void()>& meanwhile = {}) {
    return run_load(generator, threads_, meanwhile);
  }
  load::Totals run_load(load::Generator& generator, Parallel& threads,
                        const std::function<void()>& meanwhile = {}) {
    const Stoppable stoppable(generator);
    std::atomic<bool> done = false;
    std::jthread watcher = start_thread([&] {
      Progress bar(clock_, phase_name_);
      const auto total = generator.settings().duration;
      const nanoseconds begun = clock_.now();
      while (!done) {
        std::this_thread::sleep_for(100ms);
        if (clock_.now() > deadline_ + 30s) generator.stop();
        const auto at = std::chrono::duration_cast<std::chrono::seconds>(clock_.now() - begun);
        bar.update(static_cast<std::uint64_t>(at.count()),
                   static_cast<std::uint64_t>(
                       std::chrono::duration_cast<std::chrono::seconds>(total).count()),
                   fmt::format("{} sent, {} failed", grouped(generator.sent()),
                               grouped(generator.failed())));
      }
    });
    std::jthread beside;
    if (meanwhile) beside = start_thread(meanwhile);
    load::Totals totals = generator.run(threads);
    done = true;
    watcher.join();
    if (beside.joinable()) beside.join();
    return totals;
  }

  Result<void> serve_mixed() {
    if (!server_) return fail(Errc::kFailed, "there is no server");
    scale::Serving serving;
    serving.settings = mixed("serving", phase_);
    auto generator = COVEY_TRY(make(serving.settings));
    generator.prepare(threads_);
    const pid_t pid = server_->process.pid();
    const auto before = cpu_seconds(pid);
    const nanoseconds begun = clock_.now();
    Sampler sampler(pid, clock_);
    serving.totals = run_load(generator);
    serving.samples = sampler.take();
    const auto after = cpu_seconds(pid);
    if (!before || !after) return fail(Errc::kFailed, "the server ended under the load");
    serving.cores = (*after - *before) / seconds_since(begun);
    note_peak();
    size_.serving = std::move(serving);
    return {};
  }

  // Nothing acknowledged is lost.

  Result<std::uint64_t> practice_events(const std::string& learner) {
    const std::string target = "/v1/learners/" + http::percent_encode(learner);
    const auto answer = COVEY_TRY(ask({.target = target}, 30s));
    if (answer.status == 404) return 0;
    const auto json = nlohmann::json::parse(answer.body, nullptr, false);
    if (answer.status != 200 || !json.is_object() ||
        !json.value("practice_events", nlohmann::json()).is_number_unsigned()) {
      return fail(Errc::kFailed, fmt::format("GET {}: {}", target, answer.status));
    }
    return json["practice_events"].get<std::uint64_t>();
  }

  /// Sends a batch again, for as long as the server asks to come later; nothing: no answer that
  /// says.
  std::optional<scale::Receipt> send_again(http::Client& client, const std::string& lines) {
    const nanoseconds begun = clock_.now();
    while (!interrupted && clock_.now() - begun < 30s) {
      const auto answer = client.ask({.method = "POST",
                                      .target = "/v1/events",
                                      .body = lines,
                                      .content_type = "application/x-ndjson"},
                                     30s);
      if (answer && answer->status == 200) return scale::read_receipt(answer->body);
      if (answer && answer->status != 429 && answer->status != 503) return std::nullopt;
      std::this_thread::sleep_for(20ms);
    }
    return std::nullopt;
  }

  /// Asks for every batch that `generator` sent and was not turned away with, several at a time.
  scale::Ledger ask_again(load::Generator& generator, bool doubtful_too,
                          scale::PracticeCounts* counts) {
    using Fate = load::Batches::Fate;
    struct Batch {
      std::string lines;
      std::uint32_t events;
      Fate fate;
    };
    scale::Ledger ledger;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Batch> waiting;
    bool over = false;
    std::uint64_t asked = 0;
    {
      std::vector<std::jthread> askers;
      for (std::size_t i = 0; i < kAskers; ++i) {
        askers.push_back(start_thread([&] {
          http::Client client(server_->url);
          for (;;) {
            std::unique_lock lock(mutex);
            changed.wait(lock, [&] { return over || !waiting.empty(); });
            if (waiting.empty()) return;
            const Batch batch = std::move(waiting.front());
            waiting.pop_front();
            lock.unlock();
            changed.notify_all();
            const auto receipt = send_again(client, batch.lines);
            lock.lock();
            ++asked;
            if (batch.fate == Fate::kAcknowledged) {
              ledger.acknowledged(batch.events, receipt);
            } else {
              ledger.doubtful(batch.events, receipt);
            }
          }
        }));
      }
      Progress bar(clock_, phase_name_ + ", asking again");
      generator.given([&](std::string_view lines, std::uint32_t events, Fate fate) {
        if (fate == Fate::kTurnedAway || (fate == Fate::kInDoubt && !doubtful_too)) return;
        if (counts != nullptr) scale::add_practice(lines, *counts);
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return waiting.size() < 2 * kAskers; });
        waiting.push_back({std::string(lines), events, fate});
        bar.update(asked, 0, "batches");
        lock.unlock();
        changed.notify_all();
      });
      {
        const std::lock_guard lock(mutex);
        over = true;
      }
      changed.notify_all();
    }
    return ledger;
  }

  Result<void> kill_and_recover() {
    const nanoseconds kill_after = phase_ / 4;
    scale::Recovery recovery;
    recovery.settings = mixed("killed", 0s);
    recovery.settings.patience = 10s;
    // Some more than will be sent.
    recovery.settings.batches.bytes_max = static_cast<std::size_t>(
        options_.ingest * 160 * (2 + std::chrono::duration<double>(kill_after).count()));
    auto generator = COVEY_TRY(make(recovery.settings));
    generator.prepare(threads_);
    scale::PracticeCounts expected;
    generator.planned([&](std::string_view lines, std::uint32_t, load::Batches::Fate) {
      if (expected.size() < kSampled) expected.emplace(scale::first_learner(lines), 0);
    });
    for (auto& [learner, count] : expected) count = COVEY_TRY(practice_events(learner));

    const nanoseconds begun = clock_.now();
    run_load(generator, [&] {
      while (clock_.now() - begun < kill_after && !interrupted) std::this_thread::sleep_for(5ms);
      note_peak();
      server_->process.signal(SIGKILL);
      recovery.killed_after_s = seconds_since(begun);
      generator.stop();
    });
    {
      Progress bar(clock_, phase_name_);
      COVEY_TRY_VOID(wait("ending", 30s, bar,
                          [&]() -> Result<bool> { return server_->process.ended().has_value(); }));
    }
    server_.reset();
    recovery.ready_s = COVEY_TRY(start());
    recovery.ledger = ask_again(generator, true, &expected);
    for (const auto& [learner, count] : expected) {
      const std::uint64_t there = COVEY_TRY(practice_events(learner));
      ++recovery.learners_checked;
      recovery.learners_off += there != count;
    }
    size_.recovery = std::move(recovery);
    return {};
  }

  Result<void> overload() {
    if (!server_) return fail(Errc::kFailed, "there is no server");
    scale::Overload o;
    {
      load::Settings s = settings("sustained", phase_ / 4);
      s.lane(Kind::kIngest) = {.one_after_another = true, .connections = 32};
      auto generator = COVEY_TRY(make(s));
      const load::Totals totals = run_load(generator);
      const load::Tally& ingest = totals.of(Kind::kIngest);
      o.sustained_per_s = load::per_second(ingest.events, ingest, totals);
    }
    if (!(o.sustained_per_s > 0)) return fail(Errc::kFailed, "it took no events");
    o.asked_per_s = 2 * o.sustained_per_s;
    o.settings = settings("overload", phase_ / 2);
    o.settings.lane(Kind::kIngest) = {.per_second = o.asked_per_s / kBatch,
                                      .connections = kOverloadConnections};
    // More for look-ups, too: with 32 the next would wait for a slow answer that is not its own.
    o.settings.lane(Kind::kLookUp).connections = kOverloadConnections / 2;
    // Hundreds of MB a second are written: look-ups must not be late for it.
    o.settings.kinds_apart = true;
    ThreadPool apart(2);
    auto generator = COVEY_TRY(make(o.settings));
    generator.prepare(apart);
    o.after_settings = mixed("after", kAfter);
    auto after = COVEY_TRY(make(o.after_settings));
    after.prepare(threads_);
    Sampler sampler(server_->process.pid(), clock_);
    o.totals = run_load(generator, apart);
    o.samples = sampler.take();
    o.after = run_load(after);
    o.back_after_s = scale::back_after(o.after, scale::goal_for(size_.learners).p99);
    note_peak();
    o.ledger = ask_again(generator, false, nullptr);
    size_.overload = std::move(o);
    return {};
  }

  const ScaleTestOptions& options_;
  fs::path folder_;
  const Clock& clock_;
  nanoseconds phase_, deadline_, begun_;
  const std::string self_ = fs::read_symlink("/proc/self/exe").string();
  Time today_;
  std::string prefix_, phase_name_;
  int starts_ = 0;
  Serial threads_;
  std::optional<Server> server_;
  scale::SizeResult size_;
};

/// A folder that goes with the test unless it is to be kept.
class WorkFolder {
 public:
  static Result<WorkFolder> make(const std::string& within, bool keep) {
    std::error_code error;
    fs::create_directories(within, error);
    std::string pattern = (fs::path(within) / "scale-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr) {
      return fail(Errc::kFailed, fmt::format("cannot make a folder in {}", within));
    }
    return WorkFolder(pattern, keep);
  }
  WorkFolder(WorkFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), keep_(other.keep_) {}
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder() {
    if (path_.empty()) return;
    if (keep_) {
      fmt::print(stderr, "kept: {}\n", path_.string());
      return;
    }
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  WorkFolder(fs::path path, bool keep) : path_(std::move(path)), keep_(keep) {}
  fs::path path_;
  bool keep_;
};

Result<Exit> scale_test(const ScaleTestOptions& options) {
  const RealClock clock;
  const auto sizes = COVEY_TRY(parse_sizes(options.learners));
  const auto phase = COVEY_TRY(config::parse_duration(options.phase));
  const auto most = COVEY_TRY(config::parse_duration(options.most));
  if (phase < 1s) return fail(Errc::kRejected, "--phase must be 1s at least");
  scale::Measured measured;
  measured.version = COVEY_VERSION;
  measured.made = format_time(std::chrono::floor<std::chrono::seconds>(clock.wall()));
  measured.machine = this_machine();
  std::error_code error;
  fs::create_directories(options.out, error);
  if (error)
    return fail(Errc::kRejected, fmt::format("--out {}: {}", options.out, error.message()));
  stop_on_signals();
  {
    const WorkFolder folder = COVEY_TRY(
        WorkFolder::make(options.work.empty() ? options.out : options.work, options.keep));
    for (const std::uint64_t learners : sizes) {
      if (interrupted) break;
      const fs::path own = folder.path() / std::to_string(learners);
      fs::create_directories(own, error);
      if (error) {
        return fail(Errc::kFailed, fmt::format("{}: {}", own.string(), error.message()));
      }
      measured.sizes.push_back(SizeTest(options, learners, own, clock, phase, most).run());
      // The next one wants the room.
      if (!options.keep) fs::remove_all(own, error);
    }
  }
  if (interrupted) return fail(Errc::kFailed, "interrupted; what was started has ended");
  const auto criteria = scale::judge(measured);
  const auto json = to_json(measured, criteria);
  const fs::path out = options.out;
  std::vector<std::string> files;
  for (const auto& [title, drawn] : scale::plots(measured)) {
    files.push_back(fmt::format("scale-{}.svg", files.size() + 1));
    COVEY_TRY_VOID(spill(out / files.back(), load::standalone(drawn)));
  }
  COVEY_TRY_VOID(spill(out / "scale.json", json.dump(1) + "\n"));
  COVEY_TRY_VOID(spill(out / "scale.md", to_markdown(measured, criteria, files)));
  COVEY_TRY_VOID(spill(out / "scale.html", to_html(measured, criteria)));
  if (options.json) {
    fmt::print("{}\n", json.dump(2));
  } else {
    for (const scale::Criterion& c : criteria) {
      fmt::print("{:<12}  {:>9}  {}: {} (limit {})\n", scale::name(c.state),
                 c.learners ? grouped(*c.learners) : "all", c.what, c.measured, c.limit);
    }
    fmt::print("{}: {}\n", scale::passed(criteria) ? "passed" : "NOT passed",
               (out / "scale.html").string());
  }
  return scale::passed(criteria) ? Exit::kDone : Exit::kRefused;
}

}  // namespace

void add_scale_test(CLI::App& app, Run& run) {
  auto options = std::make_shared<ScaleTestOptions>();
  CLI::App* command = app.add_subcommand(
      "scale-test",
      "Load a service of this program with millions of learners, break it, and report on it");
  command->add_option("--learners", options->learners, "Sizes, each from a fresh store")
      ->capture_default_str();
  command->add_option("--events-per-learner", options->events_per_learner, "On average")
      ->check(CLI::Range(3.0, 1'000.0))
      ->capture_default_str();
  command->add_option("--rate", options->rate, "Look-ups a second")
      ->check(positive())
      ->capture_default_str();
  command->add_option("--ingest", options->ingest, "Events a second while serving")
      ->check(CLI::Range(1'000.0, 1e7))
      ->capture_default_str();
  command->add_option("--phase", options->phase, "How long it serves the mixed load")
      ->capture_default_str();
  command->add_option("--memory", options->memory_mib,
                      "Ceiling of the server in MiB; unless given, 768 and 1000 B a learner");
  command->add_option("--most", options->most, "For one size; what is left then is not measured")
      ->capture_default_str();
  command->add_option("--out", options->out, "Folder of the report: Markdown, HTML, JSON, plots")
      ->capture_default_str();
  command->add_option("--work", options->work, "Where stores are made; unless given, in --out");
  command->add_flag("--keep", options->keep, "Keep stores and logs");
  command->add_option("--seed", options->seed, "Of learners and arrivals")->capture_default_str();
  command->add_flag("--json", options->json, "The report as JSON");
  command->callback([options, &run] { run = [options] { return scale_test(*options); }; });
}

}  // namespace covey::app
