#include "app/record_reader.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

namespace covey::app {
namespace {

constexpr std::size_t kGroupRecords = 256;
constexpr std::size_t kGroupBytes = std::size_t{48} << 20;  // a few times that once decoded

}  // namespace

Result<void> read_batches(const log::Log& log, Parallel& parallel,
                          const std::function<void(std::span<const events::Batch* const>)>& see,
                          const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const std::uint64_t total = log.sizes().records;
  std::uint64_t done = 0;
  std::vector<std::pair<log::Position, std::string>> raw;
  std::size_t bytes = 0;
  const auto flush = [&]() -> Result<void> {
    std::vector<Result<events::Batch>> decoded(raw.size());
    parallel.run(raw.size(),
                 [&](std::size_t i) { decoded[i] = events::Batch::decode(raw[i].second); });
    std::vector<const events::Batch*> batches;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (!decoded[i]) {
        return fail(Errc::kCorrupt, fmt::format("record {} of the log: {}; restore the store from "
                                                "a backup, or import the events again",
                                                raw[i].first.sequence, decoded[i].error().message));
      }
      batches.push_back(&*decoded[i]);
    }
    see(batches);
    done += raw.size();
    raw.clear();
    bytes = 0;
    progress(done, std::max(done, total));
    return {};
  };
  COVEY_TRY_VOID(log.read({}, [&](log::Position position, std::string_view record) -> Result<void> {
    raw.emplace_back(position, record);
    bytes += record.size();
    if (raw.size() < kGroupRecords && bytes < kGroupBytes) return {};
    return flush();
  }));
  if (!raw.empty()) COVEY_TRY_VOID(flush());
  return {};
}

}  // namespace covey::app
