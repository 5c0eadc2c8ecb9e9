#include "load/generator.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/scheduling.h"
#include "load/answer_reader.h"

namespace covey::load {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using tcp = asio::ip::tcp;

constexpr std::size_t kReadBytes = std::size_t{16} << 10;
constexpr std::size_t kReadMax = AnswerReader::kHeadMax + 2 * AnswerReader::kBodyMax;
/// A server that refuses answers at once: without a pause the generator would only spin.
constexpr milliseconds kPauseRefused{20};
constexpr milliseconds kPauseTurnedAway{50};
/// How often time-outs and stop() are looked for.
constexpr milliseconds kSweep{20};
/// Between the first connect and the first request due.
constexpr milliseconds kHeadStart{20};

telemetry::Duration us(nanoseconds ns) {
  return std::chrono::duration_cast<telemetry::Duration>(ns);
}

Outcome outcome_of(unsigned status) {
  if (status < 400) return Outcome::kOk;
  if (status == 429) return Outcome::kTooMany;
  if (status == 503) return Outcome::kUnavailable;
  return status < 500 ? Outcome::kClientError : Outcome::kServerError;
}

}  // namespace

std::vector<std::string> Settings::validate() const {
  std::vector<std::string> faults;
  if (std::ranges::none_of(lanes, &Lane::used)) faults.emplace_back("the rate must be above 0");
  for (std::size_t k = 0; k < kKinds; ++k) {
    const Lane& lane = lanes[k];
    const auto kind = name(static_cast<Kind>(k));
    if (!(lane.per_second >= 0 && lane.per_second < 1e9)) {
      faults.push_back(fmt::format("{}: the rate must be from 0 to a thousand million", kind));
    }
    if (lane.used() && lane.connections == 0) {
      faults.push_back(fmt::format("{}: at least one connection is needed", kind));
    }
    if (lane.pipeline == 0 || lane.pipeline > 1'024) {
      faults.push_back(fmt::format("{}: the depth of the pipeline must be from 1 to 1024", kind));
    }
  }
  const auto open = [](const Lane& lane) { return lane.used() && !lane.one_after_another; };
  if (!profile.constant() && std::ranges::none_of(lanes, open)) {
    faults.emplace_back("all are sent one after another: there is no rate a profile could change");
  }
  const bool named = path.find("{learner}") != path.npos || expect.find("{learner}") != expect.npos;
  if (lane(Kind::kLookUp).used() && named && !learners.any()) {
    faults.emplace_back(
        "learners are missing: a file with an id a line (--learners), or a number of simulated "
        "ones (--population)");
  }
  if (lane(Kind::kIngest).used()) {
    for (const std::string& fault : batches.population.validate()) faults.push_back(fault);
    if (batches.events == 0 || batches.events > 100'000) {
      faults.emplace_back("a batch must have from 1 to 100000 events");
    }
    if (batches.id_prefix.size() > 32) faults.emplace_back("the prefix of ids is above 32 letters");
  }
  if (!profile.constant() && duration.count() == 0) {
    faults.emplace_back("a profile needs a length");
  }
  if (patience.count() <= 0) faults.emplace_back("the patience must be above 0");
  return faults;
}

Tally Totals::all() const {
  Tally out;
  for (const Tally& tally : kinds) out.add(tally);
  return out;
}

void Totals::operator+=(const Totals& other) {
  for (std::size_t k = 0; k < kKinds; ++k) kinds[k].add(other.kinds[k]);
  threads.insert(threads.end(), other.threads.begin(), other.threads.end());
  took = std::max(took, other.took);
  connects += other.connects;
}

void Totals::append(const Totals& other, std::chrono::seconds later) {
  for (std::size_t k = 0; k < kKinds; ++k) kinds[k].add(other.kinds[k], later);
  const auto both = took + other.took;
  threads.resize(std::max(threads.size(), other.threads.size()));
  for (std::size_t i = 0; i < other.threads.size(); ++i) {
    ThreadUse& use = threads[i];
    use.cpu = (use.cpu * took + other.threads[i].cpu * other.took) / both;
    use.busiest_second = std::max(use.busiest_second, other.threads[i].busiest_second);
  }
  took = both;
  connects += other.connects;
}

Part part_of(const Settings& settings, std::size_t kind, unsigned thread, unsigned threads) {
  if (!settings.kinds_apart) return {thread, threads};
  const auto used = [&](std::size_t end) {
    return static_cast<unsigned>(std::count_if(settings.lanes.begin(), settings.lanes.begin() + end,
                                               [](const Lane& lane) { return lane.used(); }));
  };
  const unsigned kinds = used(kKinds), rank = used(kind);
  if (threads < kinds) return {0, rank % threads == thread ? 1U : 0U};
  // Threads rank, rank + kinds, rank + 2 kinds and so on have it.
  if (thread % kinds != rank) return {};
  return {thread / kinds, (threads - rank - 1) / kinds + 1};
}

/// One thread's part: its connections, its arrivals, its figures.
class Generator::Worker {
 public:
  Worker(Generator& generator, const tcp::resolver::results_type& server, unsigned thread,
         unsigned threads)
      : self_(generator),
        settings_(generator.settings_),
        server_(server),
        io_(1),
        timer_(io_),
        sweeper_(io_) {
    const Random random = Random(settings_.seed);
    for (std::size_t k = 0; k < kKinds; ++k) {
      const Lane& asked = settings_.lanes[k];
      if (!asked.used()) continue;
      const auto [number, of] = part_of(settings_, k, thread, threads);
      if (of == 0) continue;
      const std::size_t mine = asked.connections / of + (number < asked.connections % of ? 1 : 0);
      if (mine == 0) continue;
      auto lane = std::make_unique<Sending>();
      lane->kind = static_cast<Kind>(k);
      lane->asked = &asked;
      const auto share = static_cast<double>(mine) / static_cast<double>(asked.connections);
      const Random own = random.fork(name(lane->kind), number);
      if (!asked.one_after_another) {
        lane->arrivals.emplace(asked.per_second * share, settings_.profile, own.fork("arrivals"));
      }
      switch (lane->kind) {
        case Kind::kLookUp:
          lane->look_ups.emplace(settings_.target, settings_.path, settings_.expect,
                                 settings_.learners, own.fork("learners"));
          break;
        case Kind::kIngest: {
          Batches::Spec spec = settings_.batches;
          spec.bytes_max /= of;
          spec.id_prefix += fmt::format("{}-", number);
          const double seconds = std::chrono::duration<double>(settings_.duration).count();
          double wanted = asked.per_second * seconds * settings_.profile.mean() * share * 1.1 + 8;
          if (asked.requests_max > 0) {
            wanted = static_cast<double>(asked.requests_max) * (of == 1 ? 1 : share * 1.2) + 1;
          } else if (asked.one_after_another || seconds == 0) {
            wanted = 1e9;  // as many as there is room for
          }
          spec.batches_wanted = static_cast<std::uint64_t>(wanted);
          lane->batches.emplace(settings_.target, spec, own.fork("batches"));
          break;
        }
        case Kind::kCohorts:
          lane->fixed = cohorts_request(settings_.target);
          break;
        case Kind::kDiscover:
          lane->fixed = discover_request(settings_.target);
          break;
      }
      for (std::size_t i = 0; i < mine; ++i) {
        lane->connections.push_back(std::make_unique<Connection>(io_, *lane));
      }
      lanes_.push_back(std::move(lane));
    }
  }

  void run(nanoseconds begin) {
    begin_ = begin;
    end_ = settings_.duration.count() > 0 ? begin + settings_.duration : nanoseconds::max();
    const nanoseconds cpu_begin = cpu();
    second_cpu_ = cpu_begin;
    second_ends_ = begin + std::chrono::seconds(1);
    for (const auto& lane : lanes_) {
      for (const auto& connection : lane->connections) {
        connect(*connection);
        lane->free.push_back(connection.get());
      }
      lane->freed = now();
      take_next(*lane);
    }
    sweep();
    wake_at(begin_);
    io_.run();
    const nanoseconds took = now() - begin_;
    use_.cpu = ratio(cpu() - cpu_begin, took);
    use_.busiest_second = std::max(use_.busiest_second, use_.cpu);
    totals_.took = took;
    totals_.threads.push_back(use_);
    for (const auto& lane : lanes_) {
      totals_.kinds[static_cast<std::size_t>(lane->kind)].add(lane->tally);
    }
  }

  Totals totals() && { return std::move(totals_); }

  bool only_sends_events() const {
    return std::ranges::all_of(lanes_,
                               [](const auto& lane) { return lane->kind == Kind::kIngest; });
  }

  Batches* batches() const {
    for (const auto& lane : lanes_) {
      if (lane->batches) return &*lane->batches;
    }
    return nullptr;
  }

 private:
  struct Sending;

  struct Flight {
    nanoseconds due, sent;
    std::uint32_t what;    // the learner; the events of a batch
    std::uint32_t number;  // of a batch
    bool again;
  };

  enum class Link { kClosed, kConnecting, kOpen };

  struct Connection {
    Connection(asio::io_context& io, Sending& owner) : lane(owner), socket(io), pause(io) {}
    Sending& lane;
    tcp::socket socket;
    asio::steady_timer pause;
    Link link = Link::kClosed;
    // Handlers of a socket that was closed since come too late: they carry an older one.
    std::uint64_t epoch = 0;
    std::deque<Flight> flights;
    std::size_t unsent = 0;  // of the last flights
    std::string out;         // from out_begin on not yet taken by the socket
    std::size_t out_begin = 0;
    bool writing = false, paused = false, free = true, dirty = false;
    std::vector<char> in = std::vector<char>(kReadBytes);
    std::size_t in_begin = 0, in_end = 0;
    AnswerReader reader;
  };

  /// A lane as this thread sends it.
  struct Sending {
    Kind kind = Kind::kLookUp;
    const Lane* asked = nullptr;
    std::optional<Arrivals> arrivals;
    std::optional<nanoseconds> due;  // of the next; nothing: no more
    std::optional<LookUps> look_ups;
    std::optional<Batches> batches;
    std::string fixed;
    std::vector<std::unique_ptr<Connection>> connections;
    std::deque<Connection*> free;  // have room, in the order they got it
    nanoseconds freed{0};          // since when there is room
    Tally tally;
  };

  static double ratio(nanoseconds a, nanoseconds b) {
    return b.count() <= 0 ? 0 : static_cast<double>(a.count()) / static_cast<double>(b.count());
  }
  nanoseconds now() const { return self_.clock_.now(); }
  nanoseconds cpu() const { return self_.cpu_ ? self_.cpu_() : nanoseconds(0); }
  nanoseconds since(nanoseconds t) const { return t - begin_; }

  /// Sets when the lane's next request is due; a closed loop's always is.
  void take_next(Sending& lane) {
    lane.due.reset();
    if (self_.stopping_) return;
    const std::uint64_t most = lane.asked->requests_max;
    auto& taken = self_.taken_[static_cast<std::size_t>(lane.kind)];
    if (most > 0 && taken.fetch_add(1) >= most) return;
    if (!lane.arrivals) {
      lane.due = begin_;
      return;
    }
    const auto next = lane.arrivals->next();
    if (next && begin_ + *next < end_) lane.due = begin_ + *next;
  }

  void wake_at(nanoseconds when) {
    if (armed_ && armed_for_ <= when) return;
    armed_ = true;
    armed_for_ = when;
    timer_.expires_after(when - now());
    timer_.async_wait([this](const error_code& error) {
      if (error) return;
      armed_ = false;
      for (const auto& lane : lanes_) dispatch(*lane);
    });
  }

  void dispatch(Sending& lane) {
    while (lane.due && !lane.free.empty()) {
      const nanoseconds at = now();
      const bool closed = !lane.arrivals;
      if (closed && at >= end_) {
        lane.due.reset();
        break;
      }
      if (*lane.due > at) {
        wake_at(*lane.due);
        break;
      }
      const nanoseconds due = closed ? at : *lane.due;
      ++lane.tally.due;
      if (at - due > settings_.patience) {
        give_up(lane, due);
        take_next(lane);
        continue;
      }
      if (!closed) {
        // Room that was there in time, or came since: only the rest is our own lateness.
        const nanoseconds ready = std::max(due, lane.freed);
        lane.tally.waited.add(us(ready - due));
        lane.tally.lag.add(us(at - ready));
      }
      Connection& c = *lane.free.front();
      lane.free.pop_front();
      c.free = false;
      append(c, due);
      // Room that it still has was there all the time.
      if (c.flights.size() < lane.asked->pipeline) {
        c.free = true;
        lane.free.push_back(&c);
      }
      if (!c.dirty) {
        c.dirty = true;
        dirty_.push_back(&c);
      }
      if (lane.asked->pipeline == 1) flush_all();
      take_next(lane);
    }
    flush_all();
  }

  void append(Connection& c, nanoseconds due) {
    Sending& lane = c.lane;
    Flight flight{due, nanoseconds(0), 0, 0, false};
    if (lane.look_ups) {
      flight.what = lane.look_ups->append(c.out);
    } else if (lane.batches) {
      const Batches::Batch batch = lane.batches->next();
      c.out += batch.request;
      flight.what = batch.events;
      flight.number = batch.number;
      flight.again = batch.again;
    } else {
      c.out += lane.fixed;
    }
    c.flights.push_back(flight);
    ++c.unsent;
  }

  /// Puts a connection among the free ones when it has room.
  void give_back(Connection& c) {
    if (c.free || c.paused || c.flights.size() >= c.lane.asked->pipeline) return;
    if (c.lane.free.empty()) c.lane.freed = now();
    c.free = true;
    c.lane.free.push_back(&c);
  }

  void flush_all() {
    for (Connection* c : dirty_) {
      c->dirty = false;
      flush(*c);
    }
    dirty_.clear();
  }

  void flush(Connection& c) {
    if (c.link == Link::kClosed) connect(c);
    const nanoseconds at = now();
    for (; c.unsent > 0; --c.unsent) {
      c.flights[c.flights.size() - c.unsent].sent = at;
      ++c.lane.tally.sent;
      c.lane.tally.series.sent(since(at));
    }
    if (c.link != Link::kOpen || c.writing || c.out.empty()) return;
    error_code error;
    const std::size_t n = c.socket.write_some(asio::buffer(c.out) + c.out_begin, error);
    if (error && error != asio::error::would_block) {
      broken(c, Outcome::kCut);
      return;
    }
    c.out_begin += n;
    if (c.out_begin == c.out.size()) {
      c.out.clear();
      c.out_begin = 0;
      return;
    }
    if (c.out_begin > c.out.size() / 2) {
      c.out.erase(0, c.out_begin);
      c.out_begin = 0;
    }
    // The socket is full: the rest when it has room again.
    c.writing = true;
    c.socket.async_wait(tcp::socket::wait_write, [this, &c, epoch = c.epoch](const error_code& e) {
      if (epoch != c.epoch) return;
      c.writing = false;
      if (e) {
        broken(c, Outcome::kCut);
      } else {
        flush(c);
      }
    });
  }

  void connect(Connection& c) {
    c.link = Link::kConnecting;
    ++totals_.connects;
    asio::async_connect(c.socket, server_,
                        [this, &c, epoch = c.epoch](const error_code& error, const auto&) {
                          if (epoch != c.epoch) return;
                          if (error) {
                            broken(c, Outcome::kRefused);
                            return;
                          }
                          error_code ignored;
                          c.socket.set_option(tcp::no_delay(true), ignored);
                          c.socket.non_blocking(true, ignored);
                          c.link = Link::kOpen;
                          read(c);
                          flush(c);
                        });
  }

  void read(Connection& c) {
    if (c.in_begin == c.in_end) {
      c.in_begin = c.in_end = 0;
    } else if (c.in_end == c.in.size()) {
      if (c.in_begin > 0) {
        std::memmove(c.in.data(), c.in.data() + c.in_begin, c.in_end - c.in_begin);
        c.in_end -= c.in_begin;
        c.in_begin = 0;
      } else if (c.in.size() < kReadMax) {
        c.in.resize(2 * c.in.size());
      } else {
        broken(c, Outcome::kWrong);
        return;
      }
    }
    c.socket.async_read_some(asio::buffer(c.in.data() + c.in_end, c.in.size() - c.in_end),
                             [this, &c, epoch = c.epoch](const error_code& error, std::size_t n) {
                               if (epoch == c.epoch) received(c, error, n);
                             });
  }

  void received(Connection& c, const error_code& error, std::size_t n) {
    c.in_end += n;
    c.lane.tally.bytes_in += n;
    const std::uint64_t epoch = c.epoch;
    while (c.in_begin < c.in_end || error) {
      const std::string_view bytes(c.in.data() + c.in_begin, c.in_end - c.in_begin);
      if (bytes.empty() || c.flights.empty()) break;
      const auto state = c.reader.read(bytes, static_cast<bool>(error));
      if (state == AnswerReader::State::kMore) break;
      if (state == AnswerReader::State::kGarbled) {
        broken(c, error ? Outcome::kCut : Outcome::kWrong);
        return;
      }
      answered(c, bytes);
      const bool keep = c.reader.keep_alive();
      c.in_begin += c.reader.size();
      c.reader.next();
      if (!keep) {
        broken(c, Outcome::kCut);
        return;
      }
    }
    // An end, or bytes nobody asked for: such as a server's word that the connection was idle.
    if (error || (c.flights.empty() && c.in_begin < c.in_end)) {
      broken(c, Outcome::kCut);
      return;
    }
    if (c.paused) {
      rest(c);
    } else {
      give_back(c);
      dispatch(c.lane);
    }
    if (epoch == c.epoch) read(c);
    finish_if_over();
  }

  void answered(Connection& c, std::string_view bytes) {
    Sending& lane = c.lane;
    const Flight flight = c.flights.front();
    c.flights.pop_front();
    const std::string_view body = c.reader.body(bytes);
    const unsigned status = c.reader.status();
    Outcome outcome = outcome_of(status);
    // Another discovery is under way: as good as ours, and no fault.
    if (lane.kind == Kind::kDiscover && status == 409) outcome = Outcome::kBusy;
    if (outcome == Outcome::kOk) {
      const bool right = lane.look_ups  ? lane.look_ups->right(flight.what, body)
                         : lane.batches ? Batches::right(flight.what, body)
                                        : has_cohorts(body);
      if (!right) outcome = Outcome::kWrong;
    }
    if (lane.batches && (outcome == Outcome::kTooMany || outcome == Outcome::kUnavailable)) {
      lane.batches->settle(flight.number, Batches::Fate::kTurnedAway);
    }
    if (outcome == Outcome::kOk && lane.batches) {
      lane.batches->settle(flight.number, Batches::Fate::kAcknowledged);
      lane.tally.events += flight.what;
      if (flight.again) lane.tally.events_again += flight.what;
    }
    conclude(lane, flight, outcome);
    // One after another knows no rate: a server that says no at once must not be asked at once.
    if (!lane.arrivals && outcome != Outcome::kOk) c.paused = true;
  }

  void conclude(Sending& lane, const Flight& flight, Outcome outcome) {
    const nanoseconds at = now();
    const auto latency = us(at - flight.due);
    ++lane.tally.outcomes[static_cast<std::size_t>(outcome)];
    lane.tally.last = since(at);
    lane.tally.series.answered(since(at), outcome, latency);
    switch (outcome) {
      case Outcome::kOk:
        lane.tally.latency.add(latency);
        lane.tally.service.add(us(at - flight.sent));
        break;
      case Outcome::kTimedOut:
        lane.tally.latency.add(std::max(latency, us(settings_.patience)));
        break;
      case Outcome::kTooMany:
      case Outcome::kUnavailable:
        lane.tally.turned_away.add(latency);
        break;
      default:
        break;
    }
  }

  /// Due so long ago that nobody waits for it any more.
  void give_up(Sending& lane, nanoseconds due) {
    conclude(lane, {due, due, 0, 0, false}, Outcome::kTimedOut);
  }

  /// Ends a connection; what is in flight on it gets `outcome`.
  void broken(Connection& c, Outcome outcome) {
    error_code ignored;
    ++c.epoch;
    c.socket.close(ignored);
    c.link = Link::kClosed;
    c.writing = false;
    c.out.clear();
    c.out_begin = 0;
    c.in_begin = c.in_end = 0;
    c.reader.next();
    const bool lost = !c.flights.empty();
    c.unsent = 0;
    for (const Flight& flight : c.flights) {
      const bool late = now() - flight.due >= settings_.patience;
      conclude(c.lane, flight, late ? Outcome::kTimedOut : outcome);
    }
    c.flights.clear();
    if (lost) {
      c.paused = true;
      rest(c);
    } else if (c.paused) {
      rest(c);
    } else {
      give_back(c);
      dispatch(c.lane);
    }
    finish_if_over();
  }

  /// Leaves a connection alone for a moment.
  void rest(Connection& c) {
    if (c.free) {
      std::erase(c.lane.free, &c);
      c.free = false;
    }
    c.pause.expires_after(c.link == Link::kOpen ? kPauseTurnedAway : kPauseRefused);
    c.pause.async_wait([this, &c](const error_code& error) {
      if (error) return;
      c.paused = false;
      give_back(c);
      dispatch(c.lane);
      finish_if_over();
    });
  }

  void sweep() {
    const nanoseconds at = now();
    for (const auto& lane : lanes_) {
      if (self_.stopping_) lane->due.reset();
      for (const auto& c : lane->connections) {
        if (!c->flights.empty() && at - c->flights.front().due >= settings_.patience) {
          broken(*c, Outcome::kCut);
        }
      }
      // A closed loop looks at the end only when it sends.
      if (lane->due && !lane->arrivals && at >= end_) lane->due.reset();
      // Nobody waits any more for what could not be sent all that time.
      if (at - settings_.patience >= end_) {
        while (lane->due) {
          ++lane->tally.due;
          give_up(*lane, *lane->due);
          take_next(*lane);
        }
      }
    }
    report();
    if (at >= second_ends_) {
      const nanoseconds used = cpu();
      use_.busiest_second = std::max(
          use_.busiest_second,
          ratio(used - second_cpu_, at - second_ends_ + nanoseconds(std::chrono::seconds(1))));
      second_cpu_ = used;
      second_ends_ = at + std::chrono::seconds(1);
    }
    if (finish_if_over()) return;
    sweeper_.expires_after(kSweep);
    sweeper_.async_wait([this](const error_code& error) {
      if (!error) sweep();
    });
  }

  /// Adds what came since the last time to what other threads may read.
  void report() {
    std::uint64_t sent = 0, failed = 0;
    for (const auto& lane : lanes_) {
      sent += lane->tally.sent;
      failed += lane->tally.failed();
    }
    self_.sent_ += sent - told_sent_;
    self_.failed_ += failed - told_failed_;
    told_sent_ = sent;
    told_failed_ = failed;
  }

  bool finish_if_over() {
    for (const auto& lane : lanes_) {
      if (lane->due) return false;
      for (const auto& c : lane->connections) {
        if (!c->flights.empty()) return false;
      }
    }
    report();
    io_.stop();
    return true;
  }

  Generator& self_;
  const Settings& settings_;
  const tcp::resolver::results_type& server_;
  asio::io_context io_;
  asio::steady_timer timer_, sweeper_;
  bool armed_ = false;
  nanoseconds armed_for_{0}, begin_{0}, end_{0}, second_ends_{0}, second_cpu_{0};
  std::vector<std::unique_ptr<Sending>> lanes_;
  std::vector<Connection*> dirty_;
  std::uint64_t told_sent_ = 0, told_failed_ = 0;
  ThreadUse use_;
  Totals totals_;
};

struct Generator::Server {
  asio::io_context io{1};
  tcp::resolver::results_type found;
};

Generator::Generator(Settings settings, const Clock& clock, ThreadCpu cpu)
    : settings_(std::move(settings)), clock_(clock), cpu_(std::move(cpu)) {}
Generator::Generator(Generator&& other) noexcept
    : settings_(std::move(other.settings_)), clock_(other.clock_), cpu_(std::move(other.cpu_)) {
  COVEY_CHECK(other.workers_.empty());
}
Generator::~Generator() = default;

Result<Generator> Generator::make(Settings settings, const Clock& clock, ThreadCpu cpu) {
  if (const auto faults = settings.validate(); !faults.empty()) {
    return fail(Errc::kRejected, fmt::format("{}", fmt::join(faults, "; ")));
  }
  return Generator(std::move(settings), clock, std::move(cpu));
}

Totals Generator::run() {
  Serial here;
  return run(here);
}

void Generator::prepare(Parallel& threads) {
  for (auto& taken : taken_) taken = 0;
  server_ = std::make_unique<Server>();
  tcp::resolver resolver(server_->io);
  error_code error;
  server_->found =
      resolver.resolve(settings_.target.host, std::to_string(settings_.target.port), error);
  const unsigned width = threads.width();
  workers_.clear();
  workers_.resize(width);
  threads.run(width, [&](std::size_t i) {
    workers_[i] = std::make_unique<Worker>(*this, server_->found, static_cast<unsigned>(i), width);
  });
}

Totals Generator::run(Parallel& threads) {
  if (workers_.size() != threads.width()) prepare(threads);
  const nanoseconds begin = clock_.now() + kHeadStart;
  threads.run(workers_.size(), [&](std::size_t i) {
    // Or it measures its own waiting for a core. Who only sends events must not come before those
    // who ask.
    workers_[i]->only_sends_events() ? want_usual_slices() : want_short_slices();
    workers_[i]->run(begin);
  });
  Totals totals;
  for (const auto& worker : workers_) totals += std::move(*worker).totals();
  return totals;
}

void Generator::planned(const Batches::Visit& visit) const {
  for (const auto& worker : workers_) {
    if (const Batches* batches = worker->batches()) batches->planned(visit);
  }
}

void Generator::given(const Batches::Visit& visit) {
  for (const auto& worker : workers_) {
    if (Batches* batches = worker->batches()) batches->given(visit);
  }
}

std::vector<OwnLimit> own_limits(const Settings& settings, const Totals& totals) {
  std::vector<OwnLimit> out;
  const auto ms = [](const telemetry::Histogram& h, double q) {
    const auto at = h.quantile(q);
    return at ? std::chrono::duration<double, std::milli>(*at).count() : 0;
  };
  for (std::size_t i = 0; i < totals.threads.size(); ++i) {
    const ThreadUse& use = totals.threads[i];
    if (use.busiest_second <= 0.9) continue;
    out.push_back(
        {"processor",
         fmt::format("thread {} of {} took {:.0f} % of a core ({:.0f} % in its busiest "
                     "second): more threads, or fewer requests",
                     i + 1, totals.threads.size(), 100 * use.cpu, 100 * use.busiest_second)});
  }
  for (std::size_t k = 0; k < kKinds; ++k) {
    const Lane& lane = settings.lanes[k];
    const Tally& tally = totals.kinds[k];
    if (!lane.used() || lane.one_after_another || tally.sent == 0) continue;
    const auto kind = name(static_cast<Kind>(k));
    // Half of a P99 that is our own says nothing of the server's; below a millisecond it is the
    // granularity of waking up.
    const double lag = ms(tally.lag, 0.99), p99 = ms(tally.latency, 0.99);
    if (lag > 5 || (lag > 1 && lag > p99 / 2)) {
      out.push_back({"late", fmt::format("{}: 1 % were sent more than {:.3g} ms late though a "
                                         "connection was free (P99 latency {:.3g} ms)",
                                         kind, lag, p99)});
    }
    // By the median, so that a stall, which takes all connections too, is not ours.
    const double service = ms(tally.service, 0.5);
    const auto room = static_cast<double>(lane.connections * lane.pipeline);
    const double carried = service > 0 ? room / service * 1e3 : 0;
    const double asked = lane.per_second * settings.profile.highest();
    if (ms(tally.waited, 0.9) > 1 && service > 0 && carried < 1.25 * asked) {
      out.push_back(
          {"connections",
           fmt::format("{}: at {:.3g} ms an answer, {} connections with {} in flight carry {:.0f} "
                       "requests a second, and {:.0f} were asked for: either that is all the "
                       "server can do, or it was never asked; more connections tell",
                       kind, service, lane.connections, lane.pipeline, carried, asked)});
    }
  }
  return out;
}

}  // namespace covey::load
