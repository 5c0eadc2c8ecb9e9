#include "analyzer/past.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "base/parallel.h"

namespace covey::analyzer {
namespace {

using events::Batch;

// Records read between two looks backwards. The log is read forwards only; windows of this many
// turn that round at the cost of one seek each.
constexpr std::uint64_t kWindow = 256;

/// `cursor`, as far back as `records` in each origin.
log::Cursor before(const log::Cursor& cursor, std::uint64_t records) {
  log::Cursor out = cursor;
  for (std::uint64_t& next : out.next) next -= std::min(next, records);
  return out;
}

std::uint64_t count(const log::Cursor& cursor) {
  return std::accumulate(cursor.next.begin(), cursor.next.end(), std::uint64_t{0});
}

bool is_behind(const log::Position& position, const log::Cursor& end) {
  return position.origin >= end.next.size() || position.sequence >= end.next[position.origin];
}

class Reader {
 public:
  Reader(std::string_view learner, Time until, const PastLimits& limits)
      : learner_(learner),
        until_us_(until.time_since_epoch().count()),
        limits_(limits),
        search_(learner_.begin(), learner_.end()) {}

  Result<void> see(const log::Position& position, std::string_view record) {
    // A batch holds its learners' ids as they are written (docs/batch_format.md).
    if (std::search(record.begin(), record.end(), search_) == record.end()) return {};
    const auto batch = Batch::decode(record);
    if (!batch) {
      return fail(Errc::kCorrupt, fmt::format("record {} of the log: {}", position.sequence,
                                              batch.error().message));
    }
    std::optional<std::uint32_t> who;
    for (std::uint32_t i = 0; i < batch->learners().size() && !who; ++i) {
      if (batch->learners()[i] == learner_) who = i;
    }
    if (!who) return {};
    for (std::uint32_t row = 0; row < batch->size(); ++row) {
      if (batch->learner()[row] != *who || batch->time_us()[row] > until_us_) continue;
      out_.events.add(batch->event(row, attributes_));
      out_.newest.push_back({batch->time_us()[row], position, row});
    }
    // Cut rarely, so that it stays linear.
    if (out_.newest.size() >= 2 * std::size_t{limits_.events_max}) cut(limits_.events_max);
    while (out_.newest.size() > 1 && out_.events.memory_bytes() > limits_.bytes_max) {
      cut(out_.newest.size() / 2);
    }
    return {};
  }

  Past take() {
    cut(limits_.events_max);
    return std::move(out_);
  }

 private:
  /// Sorts, and keeps the newest that may stay.
  void cut(std::size_t stay) {
    std::vector<std::uint32_t> order(out_.newest.size());
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::sort(order, std::greater(), [this](std::uint32_t i) { return out_.newest[i]; });
    if (order.size() > stay) {
      out_.scan.events_left_out = true;
      order.resize(stay);
    }
    Past kept;
    kept.scan = out_.scan;
    for (const std::uint32_t i : order) {
      kept.row.push_back(kept.events.size());
      kept.events.add(out_.events.event(i, attributes_));
      kept.newest.push_back(out_.newest[i]);
    }
    out_ = std::move(kept);
  }

  const std::string learner_;
  const std::int64_t until_us_;
  const PastLimits limits_;
  const std::boyer_moore_horspool_searcher<std::string::const_iterator> search_;
  std::vector<events::Attribute> attributes_;
  Past out_;
};

}  // namespace

Result<Past> read_past(const log::Log& log, std::string_view learner, Time until,
                       const PastLimits& limits, const Clock& clock) {
  const auto began = clock.now();
  Reader reader(learner, until, limits);
  log::Cursor end = log.end();
  Scan scan;
  scan.records = count(end);
  bool late = false;
  while (count(end) > 0 && !late) {
    const log::Cursor from = before(end, kWindow);
    bool window_over = false;
    const auto read =
        log.read(from, [&](log::Position position, std::string_view record) -> Result<void> {
          if (is_behind(position, end)) {
            // Of a log of one origin this is where the window read before begins.
            if (end.next.size() > 1) return {};
            window_over = true;
            return fail(Errc::kRetryLater, "");
          }
          late = clock.now() - began > limits.time_max;
          if (late) return fail(Errc::kRetryLater, "");
          ++scan.scanned;
          return reader.see(position, record);
        });
    if (!read && !window_over && !late) return std::unexpected(read.error());
    end = from;
  }
  Past out = reader.take();
  scan.events_left_out = out.scan.events_left_out;
  scan.took = clock.now() - began;
  out.scan = scan;
  return out;
}

std::vector<PastFacts> facts_over_time(const Past& past, std::string_view learner, Time as_of,
                                       std::uint32_t weeks) {
  COVEY_CHECK(past.scan.complete());
  constexpr std::chrono::days kWeek{7};
  const auto engine = learners::make_baseline();
  Serial serial;
  std::vector<PastFacts> out;
  std::int64_t folded = INT64_MIN;  // events up to here are in the engine
  for (std::uint32_t i = 0; i < weeks; ++i) {
    PastFacts one;
    one.as_of = as_of - kWeek * (weeks - 1 - i);
    const std::int64_t until = one.as_of.time_since_epoch().count();
    std::vector<std::uint8_t> keep(past.events.size());
    for (std::uint32_t e = 0; e < past.events.size(); ++e) {
      const std::int64_t time = past.events.time_us()[e];
      keep[e] = (folded == INT64_MIN || time > folded) && time <= until ? 1 : 0;
    }
    const Batch part = past.events.select(keep);
    const Batch* const batch = &part;
    if (!part.empty()) engine->apply(std::span(&batch, 1), serial);
    folded = until;
    if (auto facts = engine->find(learner, one.as_of)) {
      one.known = true;
      one.facts = std::move(*facts);
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace covey::analyzer
