#include "analyzer/quarantine.h"

#include <cstdio>
#include <map>
#include <memory>
#include <thread>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/formats.h"
#include "app/progress.h"
#include "app/start_thread.h"
#include "app/store.h"
#include "events/csv.h"
#include "events/ndjson.h"
#include "events/oulad.h"

namespace covey::app {
namespace {

using analyzer::Quarantined;
using events::Parsed;
using events::Source;

struct QuarantineOptions {
  StoreOptions store;
  std::string xapi_map, source;
  std::size_t limit = 50;
  bool json = false, all = false;
};

nlohmann::ordered_json to_json(const Quarantined& entry) {
  return {{"source", entry.rejection.source}, {"line", entry.rejection.line},
          {"reason", entry.rejection.reason}, {"format", entry.rejection.format},
          {"row", entry.rejection.row},       {"rejected_at", format_time(entry.at)}};
}

/// Text for a terminal: one line, no control characters, at most `width` bytes.
std::string plain(std::string_view text, std::size_t width) {
  std::string out;
  for (const char c : text.substr(0, width)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return text.size() > width ? out + "..." : out;
}

Result<Exit> list(const QuarantineOptions& options) {
  const auto store = COVEY_TRY(Store::open_log(options.store, log::Access::kReadOnly));
  std::size_t total = 0, shown = 0;
  COVEY_TRY_VOID(
      analyzer::scan_quarantine(*store->log, [&](std::string_view, const Quarantined& entry) {
        if (!options.source.empty() && entry.rejection.source != options.source) return true;
        ++total;
        if (options.limit > 0 && shown >= options.limit) return true;
        ++shown;
        if (options.json) {
          fmt::print("{}\n",
                     to_json(entry).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
        } else {
          fmt::print("{}:{}: {}\n    {}\n", entry.rejection.source, entry.rejection.line,
                     entry.rejection.reason, plain(entry.rejection.row, 160));
        }
        return true;
      }));
  if (!options.json || shown < total) {
    fmt::print(stderr, "{} of {} quarantined rows shown{}\n", grouped(shown), grouped(total),
               shown < total ? "; --limit 0 shows all" : "");
  }
  return Exit::kDone;
}

/// Reads quarantined rows again, each as its format asks.
class Reader {
 public:
  Reader(const QuarantineOptions& options, Time latest) : options_(options), latest_(latest) {}

  Result<Parsed> parse(const events::Rejection& r) {
    Parsed out;
    const Source source{r.source, r.line, latest_};
    if (r.format == "ndjson") {
      ndjson_.parse(r.row, source, out);
    } else if (r.format == "csv") {
      auto codec = COVEY_TRY(events::Csv::from_header(r.context));
      codec.parse(r.row, source, out);
    } else if (r.format == "xapi") {
      if (!mapping_) mapping_ = COVEY_TRY(load_xapi_mapping(options_.xapi_map));
      events::Xapi(*mapping_).parse(r.row, source, out);
    } else if (r.format == "oulad") {
      COVEY_TRY_VOID(oulad(r, source, out));
    } else {
      return fail(Errc::kCorrupt, fmt::format("quarantine: unknown format '{}'", r.format));
    }
    for (auto& again : out.rejected) again.context = r.context;
    return out;
  }

 private:
  Result<void> oulad(const events::Rejection& r, const Source& source, Parsed& out) {
    const std::size_t cut = r.context.find('\n');
    if (cut == std::string::npos) return fail(Errc::kCorrupt, "quarantine: an entry is damaged");
    const std::string folder = r.context.substr(0, cut);
    auto found = packages_.find(folder);
    if (found == packages_.end()) {
      const OuladTables tables = COVEY_TRY(read_oulad_tables(folder));
      found = packages_
                  .emplace(folder, COVEY_TRY(events::Oulad::from_tables(
                                       tables.learners, tables.assessments, tables.courses)))
                  .first;
    }
    COVEY_TRY_VOID(found->second.begin_file(r.source, r.context.substr(cut + 1)));
    found->second.parse(r.row, source, out);
    return {};
  }

  const QuarantineOptions& options_;
  Time latest_;
  events::Ndjson ndjson_;
  std::optional<events::XapiMapping> mapping_;
  std::map<std::string, events::Oulad> packages_;
};

Result<Exit> replay(const QuarantineOptions& options) {
  const auto store = COVEY_TRY(Store::open(options.store, log::Access::kReadWrite));
  analyzer::Analyzer& analyzer = *store->analyzer;
  std::vector<std::pair<std::string, Quarantined>> entries;
  COVEY_TRY_VOID(
      analyzer::scan_quarantine(*store->log, [&](std::string_view key, const Quarantined& entry) {
        if (options.source.empty() || entry.rejection.source == options.source) {
          entries.emplace_back(key, entry);
        }
        return true;
      }));
  // The rows are read before anything is stored: a missing mapping or package changes nothing.
  Reader reader(options, analyzer.latest_acceptable());
  std::vector<Parsed> parsed;
  for (const auto& [key, entry] : entries) {
    parsed.push_back(COVEY_TRY(reader.parse(entry.rejection)));
  }
  analyzer::Receipt total;
  std::optional<Error> error;
  const auto done = [&](Result<analyzer::Receipt> receipt) {
    if (!receipt) {
      error = receipt.error();
      return;
    }
    total.accepted += receipt->accepted;
    total.duplicates += receipt->duplicates;
    total.rejected += receipt->rejected;
  };
  // A row goes in and leaves the quarantine in one step, so a crash between loses neither; one
  // that fails again is put back under the same key with its new reason.
  std::jthread ingest = start_thread([&] { std::ignore = analyzer.run_ingest(); });
  Result<void> submitted;
  for (std::size_t i = 0; i < entries.size() && submitted; ++i) {
    std::vector<std::string> erases;
    if (parsed[i].rejected.empty()) erases.push_back(entries[i].first);
    do {
      Parsed copy = parsed[i];
      submitted = analyzer.submit(std::move(copy), done, erases);
      if (!submitted && submitted.error().code == Errc::kRetryLater) std::this_thread::yield();
    } while (!submitted && submitted.error().code == Errc::kRetryLater);
  }
  analyzer.stop();
  ingest.join();
  COVEY_TRY_VOID(submitted);
  if (error) return std::unexpected(*error);
  if (options.json) {
    const nlohmann::ordered_json out = {{"replayed", entries.size()},
                                        {"accepted", total.accepted},
                                        {"duplicates", total.duplicates},
                                        {"rejected", total.rejected}};
    fmt::print("{}\n", out.dump());
  } else {
    fmt::print("{} replayed: {} accepted, {} known already, {} rejected again{}.\n",
               counted(entries.size(), "row"), grouped(total.accepted), grouped(total.duplicates),
               grouped(total.rejected), total.rejected > 0 ? " and kept" : "");
  }
  return Exit::kDone;
}

Result<Exit> drop(const QuarantineOptions& options) {
  if (options.source.empty() && !options.all) {
    return fail(Errc::kRejected, "say which rows to drop for good: --source NAME, or --all");
  }
  const auto store = COVEY_TRY(Store::open_log(options.store, log::Access::kReadWrite));
  std::vector<log::Record> group(1);
  group[0].encode = [](std::span<const std::uint8_t>) { return std::string(); };
  COVEY_TRY_VOID(
      analyzer::scan_quarantine(*store->log, [&](std::string_view key, const Quarantined& entry) {
        if (options.all || entry.rejection.source == options.source) {
          group[0].erases.emplace_back(key);
        }
        return true;
      }));
  const std::size_t dropped = group[0].erases.size();
  COVEY_TRY(store->log->append(group));
  fmt::print("{} dropped.\n", counted(dropped, "row"));
  return Exit::kDone;
}

}  // namespace

void add_quarantine(CLI::App& app, Run& run) {
  auto options = std::make_shared<QuarantineOptions>();
  CLI::App* command = app.add_subcommand("quarantine", "Rows that could not be taken in");
  command->require_subcommand(1);

  CLI::App* listing = command->add_subcommand("list", "Show them with source, line and reason");
  options->store.add_data(*listing);
  listing->add_option("--source", options->source, "Only rows of this source");
  listing->add_option("--limit", options->limit, "Rows to show; 0: all")->capture_default_str();
  listing->add_flag("--json", options->json, "One JSON object a line");
  listing->callback([options, &run] { run = [options] { return list(*options); }; });

  CLI::App* again = command->add_subcommand(
      "replay", "Read them again, after the mapping or the program was mended");
  options->store.add_data(*again);
  options->store.add_engine(*again);
  options->store.add_threads(*again);
  again->add_option("--source", options->source, "Only rows of this source");
  again->add_option("--xapi-map", options->xapi_map, "The mended xAPI table");
  again->add_flag("--json", options->json, "Print the counts as JSON");
  again->callback([options, &run] { run = [options] { return replay(*options); }; });

  CLI::App* away = command->add_subcommand("drop", "Forget them for good");
  options->store.add_data(*away);
  away->add_option("--source", options->source, "Only rows of this source");
  away->add_flag("--all", options->all, "All of them");
  away->callback([options, &run] { run = [options] { return drop(*options); }; });
}

}  // namespace covey::app
