#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "telemetry/history.h"
#include "telemetry/latencies.h"

namespace covey::telemetry {

/// One request, from whatever stream told it.
struct Request {
  std::uint64_t number = 0;  ///< within `process`, counted up by one
  std::uint32_t process = 0;
  Time at{};
  Arm arm = Arm::kBaseline;
  std::size_t segment = 0;
  bool counts = true;  ///< false: the learner left before an answer; its number still counts
  bool answered = false, right = false;
  Duration latency{};
  Fault fault = Fault::kNone;
};

struct ClosedSlot {
  Time end;
  Sums sums;
  bool complete = false;
  ArmHistograms latencies = {};
};

/// Counts the slot, where it is complete, as one in which an arm that was asked answered or did
/// not.
void note_uptime(ClosedSlot& slot);

/// A closed slot as the controller's log keeps it.
std::string encode_slot(const ClosedSlot& slot);
/// kCorrupt: no slot of this shape.
Result<ClosedSlot> decode_slot(const Shape& shape, std::string_view bytes);

/// Sorts requests into slots and notices what is missing.
///
/// Lines are numbered by the balancer, so a hole in the numbers is a line lost; a slot in which no
/// line came at all is silence, for the controller's own probes pass through the balancer in every
/// slot. Both make the slot incomplete. Lines may come out of order within `grace` of their slot's
/// end; later ones are counted as late and make the newest open slot incomplete. A process numbers
/// from 0: what it told before the first line that came here may be lost, so slots up to that
/// line's are incomplete, unless they were over before the collector began.
///
/// Memory: the slots still open (64 at most) and one counter for each of the eight processes heard
/// of last.
class Collector {
 public:
  Collector(const Shape& shape, Duration slot, Duration grace = std::chrono::seconds(1));

  void add(const Request& request);
  /// Something unreadable came: what it was is unknown, so the slot is incomplete.
  void add_garbage(Time now);
  /// The slots that ended at least `grace` before `now`, oldest first, silent ones too.
  std::vector<ClosedSlot> close(Time now);

  std::uint64_t lost() const { return lost_; }
  std::uint64_t late() const { return late_; }
  std::uint64_t garbage() const { return garbage_; }

 private:
  struct Open {
    Sums sums;
    ArmHistograms latencies = {};
    std::uint64_t lines = 0;
    bool spoilt = false;
  };
  /// Lines of several threads may swap places, so a number counts as lost only if it lies below
  /// `mark`, the highest number at the close() before.
  struct Process {
    std::uint64_t first = 0, highest = 0, mark = 0;
    std::uint64_t seen_to_mark = 0, seen_beyond = 0, told = 0;
    std::uint64_t heard = 0;    ///< of all lines, the place of its last one
    Time joined = Time::min();  ///< end of the slot of its first line, where that was not the first
  };
  std::uint64_t newly_lost();
  Time end_of(Time at) const;
  Open* open(Time end);

  Shape shape_;
  Duration slot_, grace_;
  std::map<Time, Open> slots_;
  std::optional<Time> closed_;  ///< end of the newest closed slot
  Time begun_{};                ///< of the first one, which was not whole
  std::map<std::uint32_t, Process> processes_;
  bool spoilt_ = false;
  std::uint64_t heard_ = 0;
  std::uint64_t lost_ = 0, late_ = 0, garbage_ = 0;
};

}  // namespace covey::telemetry
