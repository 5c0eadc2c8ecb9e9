#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "log/log.h"
#include "rollout/driver.h"
#include "telemetry/collector.h"

namespace covey::control {

using Digest = std::array<unsigned char, 32>;  ///< SHA-256
std::string hex(const Digest& digest);

/// One line of the journal, as it is kept and as GET /v1/rollout/journal gives it.
struct Record {
  std::uint64_t number = 0;  ///< from 1, without holes
  std::string chain;         ///< hex SHA-256 of the chain before it and of `text`
  /// JSON: {"at","kind","input","effects","decisions","written"}; times in microseconds since 1970
  std::string text;
};

/// The controller's memory on disk: every input with what was decided on it and what was to be
/// done, and every slot of telemetry.
///
/// Each record carries the SHA-256 of the one before it, so that a record changed, dropped or put
/// in later breaks the chain from there on; open() follows the whole chain. Who can write the disk
/// can write a new chain: compare head() with a copy kept elsewhere (reports carry it).
/// A slot is stored with the next record, in one fsync. One thread, but where it says otherwise.
class Journal final : public rollout::Journal {
 public:
  /// Takes a store of its own. kRejected: it belongs to another plan. kCorrupt: the chain is
  /// broken, with the number of the record.
  /// @param plan_text  the plan as its file has it; its digest is kept with the first record
  static Result<std::unique_ptr<Journal>> open(log::Log& log, std::string_view plan_text,
                                               const telemetry::Shape& shape, const Clock& clock);

  Result<void> append(const rollout::Entry& entry) override;
  Result<void> replay(const std::function<void(const rollout::Input&)>& visit) const override;

  /// Keeps a slot, at the latest with the next append().
  void keep(const telemetry::ClosedSlot& slot);
  Result<void> slots(const std::function<void(telemetry::ClosedSlot)>& visit) const;
  /// Called for each entry once it is durable.
  void watch(std::function<void(const rollout::Entry&, const Record&)> watcher) {
    watcher_ = std::move(watcher);
  }

  /// Records with numbers above `after`, oldest first, until `visit` answers false. Costs what it
  /// visits. Any thread.
  Result<void> records(std::uint64_t after, const std::function<bool(const Record&)>& visit) const;
  /// The same without ticks that decided nothing: they only say what was measured, and there are
  /// hundreds an hour of them.
  Result<void> loud_records(std::uint64_t after,
                            const std::function<bool(const Record&)>& visit) const;
  std::uint64_t count() const { return count_; }
  std::string head() const { return hex(head_); }  ///< end of the chain

  /// Small values kept beside the records, such as when the calendar begins.
  Result<std::optional<std::string>> get(std::string_view key) const;
  Result<void> put(std::string_view key, std::string value);
  /// Several in one step, with one fsync.
  using Values = std::vector<std::pair<std::string, std::string>>;
  Result<void> change(const Values& puts, const std::vector<std::string>& erases = {});
  /// Values whose keys begin with `prefix`, in order of their keys.
  Result<Values> list(std::string_view prefix) const;

 private:
  Journal(log::Log& log, telemetry::Shape shape, const Clock& clock)
      : log_(log), shape_(std::move(shape)), clock_(clock) {}
  Result<void> follow();
  void note(std::uint64_t number, log::Position position, std::string_view text);
  Result<std::optional<log::Position>> append_slots(std::vector<log::Record> group);
  Result<void> read(std::uint64_t number, log::Position from,
                    const std::function<bool(const Record&)>& visit) const;

  log::Log& log_;
  telemetry::Shape shape_;
  const Clock& clock_;
  Digest head_{};
  std::uint64_t count_ = 0;
  std::vector<std::string> slots_;  ///< waiting for the next record
  std::function<void(const rollout::Entry&, const Record&)> watcher_;

  /// Where a record lies in the store.
  struct Place {
    std::uint64_t number;
    log::Position position;
  };
  mutable std::mutex places_mutex_;
  std::vector<Place> marks_;  ///< every kMarkEvery-th record, to begin reading near any
  std::vector<Place> loud_;   ///< all but the silent ticks
};

/// The text of a record. `written` is the wall clock's time; the input's own `at` may be the end of
/// the slot it is about.
std::string record_text(const rollout::Entry& entry, Time written);

}  // namespace covey::control
