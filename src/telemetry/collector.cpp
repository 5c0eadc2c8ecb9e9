#include "telemetry/collector.h"

#include <algorithm>
#include <utility>

namespace covey::telemetry {
namespace {

/// More open slots than this are nonsense: a clock that jumped, or a line from elsewhere.
constexpr std::size_t kOpenMax = 64;
constexpr std::size_t kProcessesMax = 8;

}  // namespace

void note_uptime(ClosedSlot& slot) {
  if (!slot.complete) return;
  for (const Arm arm : {Arm::kBaseline, Arm::kCandidate}) {
    const Counts counts = slot.sums.counts(arm);
    if (counts.sent == 0) continue;
    Levels levels;
    ++(counts.answered() > 0 ? levels.slots_up : levels.slots_down);
    slot.sums.add(arm, levels);
  }
}

Collector::Collector(const Shape& shape, Duration slot, Duration grace)
    : shape_(shape), slot_(slot), grace_(grace) {}

Time Collector::end_of(Time at) const {
  const auto since = at.time_since_epoch();
  return Time(since - since % slot_ + slot_);
}

Collector::Open* Collector::open(Time end) {
  const auto at = slots_.find(end);
  if (at != slots_.end()) return &at->second;
  if (slots_.size() >= kOpenMax) return nullptr;
  return &slots_.emplace(end, Open{.sums = Sums(shape_)}).first->second;
}

void Collector::add(const Request& request) {
  const Time end = end_of(request.at);
  const auto known = processes_.find(request.process);
  if (known == processes_.end()) {
    if (processes_.size() >= kProcessesMax) {
      processes_.erase(std::ranges::min_element(
          processes_, {}, [](const auto& process) { return process.second.heard; }));
    }
    // How many came before the first we see is not known: the collector may have come later.
    processes_[request.process] = {.first = request.number,
                                   .highest = request.number,
                                   .mark = request.number,
                                   .joined = closed_ && end > begun_ ? end : Time::min()};
  }
  Process& process = processes_[request.process];
  process.heard = ++heard_;
  process.first = std::min(process.first, request.number);
  process.highest = std::max(process.highest, request.number);
  ++(request.number <= process.mark ? process.seen_to_mark : process.seen_beyond);

  if (closed_ && end <= *closed_) {
    if (end <= begun_) return;  // from before the first whole slot
    ++late_;
    spoilt_ = true;
    return;
  }
  Open* slot = open(end);
  if (slot == nullptr) {
    ++late_;
    spoilt_ = true;
    return;
  }
  ++slot->lines;
  if (request.counts) {
    if (request.answered) {
      slot->latencies[static_cast<std::size_t>(request.arm)].add(request.latency);
    }
    slot->sums.add(request.arm, request.segment, request.answered, request.right, request.latency,
                   shape_.slower_than, request.fault);
  }
}

void Collector::add_garbage(Time now) {
  ++garbage_;
  if (Open* slot = open(end_of(now))) slot->spoilt = true;
}

std::uint64_t Collector::newly_lost() {
  std::uint64_t out = 0;
  for (auto& [id, process] : processes_) {
    const std::uint64_t numbers = process.mark - process.first + 1;
    // The same line twice would hide a lost one; counting it as none lost is the worst of it.
    const std::uint64_t holes = numbers - std::min(numbers, process.seen_to_mark);
    if (holes > process.told) out += holes - process.told;
    process.told = std::max(process.told, holes);
    process.mark = process.highest;
    process.seen_to_mark += std::exchange(process.seen_beyond, 0);
  }
  lost_ += out;
  return out;
}

std::vector<ClosedSlot> Collector::close(Time now) {
  std::vector<ClosedSlot> out;
  if (!closed_) {
    // Begins with the first whole slot after the collector does.
    closed_ = begun_ = end_of(now);
    slots_.erase(slots_.begin(), slots_.upper_bound(*closed_));
    return out;
  }
  spoilt_ |= newly_lost() > 0;
  while (*closed_ + slot_ + grace_ <= now) {
    const Time end = *closed_ + slot_;
    closed_ = end;
    const auto at = slots_.find(end);
    const bool spoilt = std::exchange(spoilt_, false);
    if (at == slots_.end()) {
      out.push_back({end, Sums(shape_), false, {}});
      continue;
    }
    const bool joined = std::ranges::any_of(processes_, [&](const auto& process) {
      return process.second.first > 0 && end <= process.second.joined;
    });
    const bool complete = !spoilt && !joined && !at->second.spoilt && at->second.lines > 0;
    out.push_back({end, std::move(at->second.sums), complete, std::move(at->second.latencies)});
    slots_.erase(slots_.begin(), std::next(at));
  }
  return out;
}

}  // namespace covey::telemetry
