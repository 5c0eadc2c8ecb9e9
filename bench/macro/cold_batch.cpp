// Events in memory -> traits -> cohorts, timed part by part, as one line of JSON.
//
//   cold_batch --learners 1000000 --events-per-learner 50 --threads 2 --repeat 5
//
// Every repeat folds the same events into a new engine and discovers once. --rediscover repeats
// traits and discovery on the state that is then there, with the run before to match ids with, as
// the service does. --stream makes events piece by piece between the timed folds, where they would
// not fit in memory at once. The events and traits can be written for a peer to check.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/allocator.h"
#include "app/real_clock.h"
#include "app/thread_pool.h"
#include "base/hash.h"
#include "cohorts/discovery.h"
#include "learners/engine.h"
#include "population/population.h"

namespace {

using namespace covey;
using population::Drawn;
using population::Population;

struct Options {
  population::Spec spec;
  std::string engine = "fast", events_csv, traits_csv;
  unsigned threads = 2, repeat = 5, rediscover = 0;
  std::uint32_t batch_events = 1u << 22;
  std::size_t fold_events = std::size_t{16} << 20;
  bool stream = false;
};

std::size_t resident_bytes() {
  app::give_memory_back();
  std::ifstream statm("/proc/self/statm");
  std::size_t whole = 0, resident = 0;
  statm >> whole >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// A file that is written whole, or the program ends.
class Out {
 public:
  explicit Out(const std::string& path) : file_(std::fopen(path.c_str(), "wb")), path_(path) {
    check(file_ != nullptr);
  }
  ~Out() { check(std::fclose(file_) == 0); }
  Out(const Out&) = delete;
  Out& operator=(const Out&) = delete;
  std::FILE* file() { return file_; }

 private:
  void check(bool fine) const {
    if (fine) return;
    std::fprintf(stderr, "cold_batch: writing %s: %s\n", path_.c_str(), std::strerror(errno));
    std::_Exit(1);
  }
  std::FILE* file_;
  std::string path_;
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options), population_(options.spec), pool_(options.threads) {}

  int run() {
    out_["learners"] = options_.spec.learners;
    out_["threads"] = options_.threads;
    out_["engine"] = options_.engine;
    if (!options_.events_csv.empty()) write_events();
    if (options_.stream) {
      streamed();
    } else {
      loaded();
    }
    rediscover();
    if (!options_.traits_csv.empty()) write_traits();
    const learners::MemoryUse use = engine_->memory();
    if (options_.stream) {
      run_.reset();
      columns_ = {};
      out_["resident_bytes"] = resident_bytes() - before_;
    }
    out_["events"] = events_;
    out_["engine_bytes"] = use.bytes;
    out_["memory"] = {{"rows", use.rows},
                      {"names", use.names},
                      {"index", use.index},
                      {"blocks", use.blocks},
                      {"attributes", use.attributes}};
    std::cout << out_.dump() << "\n";
    return 0;
  }

 private:
  /// Calls `use` with full batches; the last may be short.
  template <typename Use>
  void each_batch(const Use& use) {
    auto batch = std::make_unique<events::Batch>();
    Population::Scratch scratch;
    events_ = 0;
    const auto made = population_.generate([&](std::span<const Drawn> part) -> Result<void> {
      events_ += part.size();
      for (const Drawn& drawn : part) {
        batch->add(population_.event(drawn, scratch));
        if (batch->size() < options_.batch_events) continue;
        use(std::move(batch));
        batch = std::make_unique<events::Batch>();
      }
      return {};
    });
    COVEY_CHECK(made);
    if (!batch->empty()) use(std::move(batch));
  }

  std::size_t at_once() const {
    return std::max(options_.fold_events / options_.batch_events, std::size_t{1});
  }

  double seconds_since(std::chrono::nanoseconds start) const {
    return static_cast<double>((clock_.now() - start).count()) / 1e9;
  }

  void new_engine() {
    engine_ = options_.engine == "fast" ? learners::make_fast() : learners::make_baseline();
  }

  double fold(const std::vector<std::unique_ptr<events::Batch>>& batches) {
    std::vector<const events::Batch*> all;
    all.reserve(batches.size());
    for (const auto& batch : batches) all.push_back(batch.get());
    const auto start = clock_.now();
    engine_->apply(all, pool_);
    return seconds_since(start);
  }

  void loaded() {
    std::vector<std::unique_ptr<events::Batch>> batches;
    each_batch([&](std::unique_ptr<events::Batch> batch) { batches.push_back(std::move(batch)); });
    for (unsigned i = 0; i < options_.repeat; ++i) {
      new_engine();
      const double apply = fold(batches);
      discover(apply, nullptr);
    }
  }

  void streamed() {
    new_engine();
    before_ = resident_bytes();
    std::vector<std::unique_ptr<events::Batch>> batches;
    double apply = 0;
    each_batch([&](std::unique_ptr<events::Batch> batch) {
      batches.push_back(std::move(batch));
      if (batches.size() < at_once()) return;
      apply += fold(batches);
      batches.clear();
    });
    apply += fold(batches);
    batches.clear();
    batches.shrink_to_fit();
    discover(apply, nullptr);
  }

  void rediscover() {
    for (unsigned i = 0; i < options_.rediscover; ++i) {
      const auto before = cohorts::remember(
          *run_, [&](learners::LearnerRef ref) { return hash64(engine_->learner(ref)); });
      discover(0, &before);
    }
  }

  void discover(double apply, const cohorts::Previous* before) {
    const auto start = clock_.now();
    columns_ = engine_->traits(options_.spec.end, pool_);
    const double traits = seconds_since(start);
    auto found = cohorts::discover(
        columns_, {}, before,
        [&](std::size_t i) { return hash64(engine_->learner(columns_.learner[i])); }, pool_,
        clock_);
    if (!found) {
      std::fprintf(stderr, "cold_batch: %s\n", found.error().message.c_str());
      std::_Exit(1);
    }
    const double whole = seconds_since(start);
    nlohmann::json& row = out_[before == nullptr ? "cold" : "live"].emplace_back();
    row = {{"apply_s", apply},
           {"traits_s", traits},
           {"discover_s", whole - traits},
           {"total_s", apply + whole},
           {"k", found->k},
           {"clustered", found->learners},
           {"inertia", found->inertia},
           {"silhouette", found->silhouette}};
    run_ = std::make_unique<cohorts::Discovery>(std::move(*found));
  }

  // Numbers for names: kinder to a peer than the strings our own engine gets.
  void write_events() {
    Out out(options_.events_csv);
    const std::int64_t midnight =
        std::chrono::floor<std::chrono::days>(options_.spec.end).time_since_epoch() /
            std::chrono::seconds(1) -
        std::int64_t{86'400} * options_.spec.days;
    std::fputs("learner,type,second,capability,domain,acted_on\n", out.file());
    const auto made = population_.generate([&](std::span<const Drawn> part) -> Result<void> {
      for (const Drawn& d : part) {
        std::fprintf(out.file(), "%u,%d,%" PRId64 ",%u,%u,%d\n", d.learner, d.type & 0x7f,
                     midnight + d.second, d.capability, population_.domain_of(d.capability),
                     d.acted_on() ? 1 : 0);
      }
      return {};
    });
    COVEY_CHECK(made);
  }

  void write_traits() {
    Out out(options_.traits_csv);
    std::fputs("learner", out.file());
    for (const auto name : learners::kTraitNames) {
      std::fprintf(out.file(), ",%.*s", static_cast<int>(name.size()), name.data());
    }
    std::fputs("\n", out.file());
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string name = engine_->learner(columns_.learner[i]);
      std::fprintf(out.file(), "%lu", std::stoul(name.substr(name.find('-') + 1)));
      for (const auto& trait : columns_.trait) {
        std::fprintf(out.file(), ",%.9g", static_cast<double>(trait[i]));
      }
      std::fputs("\n", out.file());
    }
  }

  const Options& options_;
  Population population_;
  app::ThreadPool pool_;
  app::RealClock clock_;
  std::unique_ptr<learners::Engine> engine_;
  learners::TraitColumns columns_;
  std::unique_ptr<cohorts::Discovery> run_;
  std::uint64_t events_ = 0;
  std::size_t before_ = 0;  ///< resident bytes of the program without learners
  nlohmann::json out_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Events in memory -> traits -> cohorts, timed");
  app.add_option("--learners", options.spec.learners);
  app.add_option("--events-per-learner", options.spec.events_per_learner);
  app.add_option("--seed", options.spec.seed);
  app.add_option("--engine", options.engine)->check(CLI::IsMember({"fast", "baseline"}));
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 256));
  app.add_option("--repeat", options.repeat)->check(CLI::Range(1, 1000));
  app.add_option("--rediscover", options.rediscover);
  app.add_flag("--stream", options.stream);
  app.add_option("--batch-events", options.batch_events, "Events of a batch")
      ->check(CLI::Range(1u, events::Batch::kEventsMax));
  app.add_option("--fold-events", options.fold_events, "Folded together, where they are streamed");
  app.add_option("--events-csv", options.events_csv);
  app.add_option("--traits-csv", options.traits_csv);
  CLI11_PARSE(app, argc, argv);
  if (const auto faults = options.spec.validate(); !faults.empty()) {
    for (const auto& fault : faults) std::fprintf(stderr, "cold_batch: %s\n", fault.c_str());
    return 2;
  }
  return Bench(options).run();
}
