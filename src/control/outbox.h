#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "control/journal.h"
#include "rollout/effect.h"

namespace covey::control {

/// A message to one channel.
struct Note {
  std::string channel;
  std::uint64_t effect = 0;  ///< that asked for it; with the channel's name its key
  Time at{};
  rollout::Notify what;
};

/// Messages that no channel has taken yet, in the journal's store: what waits outlives a crash.
///
/// A note is there before the effect that asks for it is done, and goes once its channel took it or
/// gave it up. So it is sent at least once, and twice only with the same key. How many wait is
/// bounded by the queues, which give up their oldest. One thread.
class Outbox {
 public:
  /// What it borrows must outlive it.
  Outbox(Journal& journal, std::vector<std::string> channels)
      : journal_(journal), channels_(std::move(channels)) {}

  /// Keeps one note for each channel, with one fsync, and answers them. Again: the same notes.
  Result<std::vector<Note>> keep(const rollout::Notify& what, std::uint64_t effect, Time at);
  Result<void> erase(const std::string& channel, std::uint64_t effect);
  /// Each channel's, oldest first; those of channels that there are no more are dropped. kCorrupt:
  /// a note can't be read, with its key.
  Result<std::vector<Note>> waiting();

 private:
  Journal& journal_;
  std::vector<std::string> channels_;
};

}  // namespace covey::control
