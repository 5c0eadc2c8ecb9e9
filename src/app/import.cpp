#include <algorithm>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/files.h"
#include "app/formats.h"
#include "app/progress.h"
#include "app/start_thread.h"
#include "app/store.h"
#include "events/csv.h"
#include "events/ndjson.h"
#include "events/oulad.h"
#include "events/rows.h"

namespace covey::app {
namespace {

using events::Parsed;
using events::Source;
namespace fs = std::filesystem;

constexpr std::size_t kChunk = std::size_t{4} << 20;
constexpr std::size_t kInFlight = 16;  // submissions not yet acknowledged
constexpr std::size_t kXapiFileMax = std::size_t{256} << 20;
constexpr std::uint64_t kShown = 5;  // rejected rows shown on stderr

struct ImportOptions {
  StoreOptions store;
  std::string format, source, xapi_map;
  std::vector<std::string> paths;
  bool json = false;
};

struct Input {
  std::string path, format;
};

Result<std::vector<Input>> inputs(const ImportOptions& options) {
  std::vector<Input> all;
  for (const auto& path : options.paths) {
    std::string format = options.format;
    if (format.empty()) format = COVEY_TRY(format_of(path));
    all.push_back({path, std::move(format)});
  }
  return all;
}

/// Threads that parse; results are taken in the order the work was given.
class Parsers {
 public:
  explicit Parsers(unsigned threads) {
    for (unsigned i = 0; i < threads; ++i) {
      threads_.push_back(start_thread([this] { work(); }));
    }
  }
  ~Parsers() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
  }
  std::future<Parsed> start(std::function<Parsed()> task) {
    std::packaged_task<Parsed()> packaged(std::move(task));
    auto result = packaged.get_future();
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(packaged));
    }
    wake_.notify_one();
    return result;
  }

 private:
  void work() {
    for (;;) {
      std::packaged_task<Parsed()> task;
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
  std::deque<std::packaged_task<Parsed()>> tasks_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

/// Hands parsed rows to the analyzer and keeps count of what became of them.
class Intake {
 public:
  explicit Intake(analyzer::Analyzer& analyzer) : analyzer_(analyzer) {}
  std::uint64_t shown() const { return shown_; }

  Result<void> submit(Parsed parsed) {
    for (const auto& r : parsed.rejected) {
      if (shown_ < kShown) {
        fmt::print(stderr, "{}:{}: {}\n", r.source, r.line, r.reason);
        ++shown_;
      }
    }
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return in_flight_ < kInFlight || error_; });
      if (error_) return std::unexpected(*error_);
      ++in_flight_;
    }
    auto taken = analyzer_.submit(std::move(parsed), [this](Result<analyzer::Receipt> receipt) {
      const std::lock_guard lock(mutex_);
      if (receipt) {
        total_.accepted += receipt->accepted;
        total_.duplicates += receipt->duplicates;
        total_.rejected += receipt->rejected;
      } else if (!error_) {
        error_ = receipt.error();
      }
      --in_flight_;
      wake_.notify_all();
    });
    if (!taken) {
      const std::lock_guard lock(mutex_);
      --in_flight_;
    }
    return taken;
  }

  Result<analyzer::Receipt> finish() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return in_flight_ == 0; });
    if (error_) return std::unexpected(*error_);
    return total_;
  }

  analyzer::Receipt so_far() const {
    const std::lock_guard lock(mutex_);
    return total_;
  }

 private:
  analyzer::Analyzer& analyzer_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  analyzer::Receipt total_;
  std::optional<Error> error_;
  std::size_t in_flight_ = 0;
  std::uint64_t shown_ = 0;
};

class Importer {
 public:
  Importer(const ImportOptions& options, std::vector<Input> inputs, Store& store)
      : options_(options),
        inputs_(std::move(inputs)),
        store_(store),
        bar_(store.clock, "importing"),
        intake_(*store.analyzer),
        parsers_(thread_count(options.store.threads)) {}

  Result<analyzer::Receipt> run() {
    const auto done = import_all();
    auto receipt = intake_.finish();
    bar_.finish();
    if (!done) return std::unexpected(done.error());
    return receipt;
  }
  /// Rejected rows that were shown.
  std::uint64_t shown() const { return intake_.shown(); }

 private:
  Result<void> import_all() {
    std::error_code ignored;
    for (const auto& [path, format] : inputs_) {
      if (format == "oulad" || path == "-") continue;
      bytes_total_ += fs::file_size(path, ignored);
    }
    for (const auto& [path, format] : inputs_) {
      if (format == "oulad") {
        COVEY_TRY_VOID(import_oulad(path));
      } else if (format == "xapi") {
        COVEY_TRY_VOID(import_xapi(path));
      } else if (format == "csv") {
        COVEY_TRY_VOID(import_csv(path));
      } else {
        COVEY_TRY_VOID(import_ndjson(path));
      }
      bytes_before_ += path == "-" ? 0 : fs::file_size(path, ignored);
    }
    return drain(0);
  }

  // The name that rows without an id are known by: where the file lies, so that a second run
  // recognises them and another file of the same name is another source.
  Result<std::string> source_name(const std::string& path) const {
    if (!options_.source.empty()) return options_.source;
    if (path == "-") {
      return fail(Errc::kRejected,
                  "standard input has no name to know its rows by; add --source NAME");
    }
    std::error_code error;
    const auto whole = fs::weakly_canonical(path, error);
    return error ? path : whole.string();
  }

  Source source(const std::string& name, std::uint64_t line) const {
    return {name, line, store_.analyzer->latest_acceptable()};
  }

  /// Cuts the rest of `reader` into chunks of whole rows and gives each to `parse`.
  template <typename Whole, typename Parse>
  Result<void> each_chunk(FileReader& reader, std::string rest, std::uint64_t line, Whole whole,
                          Parse parse) {
    bool more = true;
    while (more) {
      more = COVEY_TRY(reader.read(rest, kChunk));
      const std::size_t size = more ? whole(std::string_view(rest)) : rest.size();
      if (size == 0) continue;
      // What is over is short: it moves, not the chunk.
      std::string chunk = std::exchange(rest, rest.substr(size));
      chunk.resize(size);
      const std::uint64_t lines = events::line_ends(chunk);
      COVEY_TRY_VOID(parse(std::move(chunk), line));
      line += lines;
      note(reader);
    }
    return {};
  }

  void note(const FileReader& reader) {
    const auto rows = intake_.so_far();
    bar_.update(bytes_before_ + reader.bytes_done(), bytes_total_,
                grouped(rows.accepted + rows.duplicates + rows.rejected) + " rows");
  }

  Result<void> start(std::function<Parsed()> task) {
    pending_.push_back(parsers_.start(std::move(task)));
    return drain(2 * thread_count(options_.store.threads));
  }
  Result<void> drain(std::size_t leave) {
    while (pending_.size() > leave) {
      Parsed parsed = pending_.front().get();
      pending_.pop_front();
      COVEY_TRY_VOID(intake_.submit(std::move(parsed)));
    }
    return {};
  }

  Result<void> import_ndjson(const std::string& path) {
    auto reader = COVEY_TRY(FileReader::open(path));
    const std::string name = COVEY_TRY(source_name(path));
    return each_chunk(reader, {}, 1, events::whole_lines,
                      [&](std::string chunk, std::uint64_t line) -> Result<void> {
                        return start([chunk = std::move(chunk), from = source(name, line)] {
                          thread_local events::Ndjson codec;
                          Parsed parsed;
                          codec.parse(chunk, from, parsed);
                          return parsed;
                        });
                      });
  }

  Result<void> import_csv(const std::string& path) {
    auto reader = COVEY_TRY(FileReader::open(path));
    const std::string name = COVEY_TRY(source_name(path));
    std::string head;
    while (head.find('\n') == std::string::npos) {
      if (!COVEY_TRY(reader.read(head, std::size_t{64} << 10))) break;
    }
    const std::size_t end = std::min(head.find('\n'), head.size());
    auto opened = events::Csv::from_header(std::string_view(head).substr(0, end));
    if (!opened) {
      return fail(opened.error().code, fmt::format("{}:1: {}", path, opened.error().message));
    }
    const auto codec = std::make_shared<const events::Csv>(std::move(*opened));
    std::string rest = end == head.size() ? std::string() : head.substr(end + 1);
    return each_chunk(reader, std::move(rest), 2, events::whole_records,
                      [&](std::string chunk, std::uint64_t line) -> Result<void> {
                        return start([codec, chunk = std::move(chunk), from = source(name, line)] {
                          Parsed parsed;
                          events::Csv mine = *codec;
                          mine.parse(chunk, from, parsed);
                          return parsed;
                        });
                      });
  }

  Result<void> import_xapi(const std::string& path) {
    const auto mapping = COVEY_TRY(load_xapi_mapping(options_.xapi_map));
    const std::string text = COVEY_TRY(read_file(path, kXapiFileMax));
    events::Xapi codec(mapping);
    Parsed parsed;
    codec.parse(text, source(COVEY_TRY(source_name(path)), 1), parsed);
    return intake_.submit(std::move(parsed));
  }

  // One codec for the whole package and in order: it remembers who has registered.
  Result<void> import_oulad(const std::string& folder) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) {
      return fail(Errc::kNotFound, fmt::format("{} is not a folder; name the folder of the OULAD "
                                               "package (with learners.csv in it)",
                                               folder));
    }
    const OuladTables tables = COVEY_TRY(read_oulad_tables(folder));
    auto codec =
        COVEY_TRY(events::Oulad::from_tables(tables.learners, tables.assessments, tables.courses));
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("events_") && (name.ends_with(".csv") || name.ends_with(".csv.zst"))) {
        files.push_back(entry.path());
        bytes_total_ += fs::file_size(entry.path(), error);
      }
    }
    if (files.empty()) {
      return fail(Errc::kNotFound,
                  fmt::format("{} has no events_*.csv or events_*.csv.zst", folder));
    }
    std::ranges::sort(files);
    for (const auto& path : files) {
      auto reader = COVEY_TRY(FileReader::open(path));
      const std::string name = path.filename().string();
      std::string head;
      while (head.find('\n') == std::string::npos) {
        if (!COVEY_TRY(reader.read(head, std::size_t{64} << 10))) break;
      }
      const std::size_t end = std::min(head.find('\n'), head.size());
      COVEY_TRY_VOID(codec.begin_file(name, std::string_view(head).substr(0, end)));
      const std::string context = oulad_context(folder) + "\n" + head.substr(0, end);
      std::string rest = end == head.size() ? std::string() : head.substr(end + 1);
      COVEY_TRY_VOID(each_chunk(reader, std::move(rest), 2, events::whole_records,
                                [&](std::string chunk, std::uint64_t line) -> Result<void> {
                                  Parsed parsed;
                                  codec.parse(chunk, source(name, line), parsed);
                                  for (auto& r : parsed.rejected) r.context = context;
                                  return intake_.submit(std::move(parsed));
                                }));
      bytes_before_ += fs::file_size(path, error);
    }
    Parsed profiles;
    codec.finish(profiles);
    return intake_.submit(std::move(profiles));
  }

  // What a replay of the row needs: the package's folder and the file's header.
  static std::string oulad_context(const std::string& folder) {
    std::error_code error;
    return fs::weakly_canonical(folder, error).string();
  }

  const ImportOptions& options_;
  std::vector<Input> inputs_;
  Store& store_;
  Progress bar_;
  Intake intake_;
  std::deque<std::future<Parsed>> pending_;
  Parsers parsers_;
  std::uint64_t bytes_total_ = 0, bytes_before_ = 0;
};

Result<Exit> import(const ImportOptions& options) {
  auto files = COVEY_TRY(inputs(options));
  auto store = COVEY_TRY(Store::open(options.store, log::Access::kReadWrite));
  const auto started = store->clock.now();
  analyzer::Analyzer& analyzer = *store->analyzer;
  // What it fails of, every submission is answered with.
  std::jthread ingest = start_thread([&] { std::ignore = analyzer.run_ingest(); });
  Importer importer(options, std::move(files), *store);
  auto receipt = importer.run();
  analyzer.stop();
  ingest.join();
  if (!receipt) {
    if (analyzer.counters().accepted == 0) return std::unexpected(receipt.error());
    fmt::print(stderr,
               "covey: import stopped. Rows stored before this are safe; run the same "
               "command again and they are recognised.\n");
    return std::unexpected(receipt.error());
  }
  const double seconds = std::chrono::duration<double>(store->clock.now() - started).count();
  const std::size_t learners = analyzer.engine().learners();
  if (options.json) {
    const nlohmann::ordered_json out = {{"accepted", receipt->accepted},
                                        {"duplicates", receipt->duplicates},
                                        {"rejected", receipt->rejected},
                                        {"learners", learners},
                                        {"seconds", seconds}};
    fmt::print("{}\n", out.dump());
  } else {
    const std::uint64_t rows = receipt->accepted + receipt->duplicates + receipt->rejected;
    fmt::print("{} in {:.1f} s: {} new, {} known already, {} rejected. {} in the store.\n",
               counted(rows, "row"), seconds, grouped(receipt->accepted),
               grouped(receipt->duplicates), grouped(receipt->rejected),
               counted(learners, "learner"));
  }
  if (receipt->rejected > 0) {
    const std::string more = receipt->rejected > importer.shown()
                                 ? fmt::format("The first {} of {} are above. ", importer.shown(),
                                               grouped(receipt->rejected))
                                 : std::string();
    fmt::print(
        stderr,
        "{1}Rejected rows are kept: `covey quarantine list --data {0}` shows them with their "
        "reasons, `covey quarantine replay --data {0}` takes them in once mended.\n",
        options.store.data, more);
  }
  const bool nothing = receipt->accepted + receipt->duplicates == 0 && receipt->rejected > 0;
  return nothing ? Exit::kUsage : Exit::kDone;
}

}  // namespace

void add_import(CLI::App& app, Run& run) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command = app.add_subcommand("import", "Take in events from files, durably");
  options->store.add_data(*command);
  options->store.add_engine(*command);
  options->store.add_threads(*command);
  command
      ->add_option("--format", options->format,
                   "What the files hold (default: as their names say, .ndjson, .jsonl, .csv, "
                   "each also as .zst; a folder: oulad)")
      ->check(CLI::IsMember(std::vector<std::string>(kFormats.begin(), kFormats.end())));
  command->add_option("--source", options->source,
                      "Name that rows without an id are known by, with their line number "
                      "(default: the file's path). Give a new one when a file's name comes back "
                      "with new content");
  command->add_option("--xapi-map", options->xapi_map,
                      "Table from xAPI verbs and activity types to event types "
                      "(default: the built-in one, deploy/xapi-mapping.csv)");
  command->add_flag("--json", options->json, "Print the counts as JSON");
  command
      ->add_option("PATH", options->paths,
                   "Files (.zst is decompressed, - is standard input); "
                   "oulad: the package's folder")
      ->required();
  command->callback([options, &run] { run = [options] { return import(*options); }; });
}

}  // namespace covey::app
