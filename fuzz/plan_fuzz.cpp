// A plan, and the faults of a rehearsal, from anyone: whatever the bytes, they are read or refused
// with their place, and what is read keeps what the controller relies on.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "plan/check.h"
#include "plan/show.h"
#include "rehearsal/faults.h"
#include "require.h"

using namespace covey;
using namespace covey::plan;

namespace {

void require_rules(const std::vector<Rule>& rules) {
  for (const Rule& rule : rules) {
    require(rule.lasting.count() >= 0 && rule.watch.count() >= 0 && rule.from.count() >= 0);
    if (kind_of(rule.measure) == Kind::kEvidence) {
      require(limit_rate(rule) > 0 && limit_rate(rule) < 1);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto read = parse_plan("p", text);
  if (!read) {
    require(!read.error().message.empty());
    return 0;
  }
  require(!read->stages.empty() && std::ranges::any_of(read->roles, &Role::decides));
  require(read->alpha > 0 && read->alpha < 1 && read->slot.count() > 0);
  for (const Stage& stage : read->stages) {
    require(stage.share > 0 && stage.share <= kEveryone && stage.fail_share <= stage.share);
    require(!stage.criteria.empty() && stage.length.count() > 0 && stage.breached_for.count() > 0);
    require(!stage.checkpoints.empty() && stage.checkpoints.back() == stage.length);
    require(std::ranges::is_sorted(stage.checkpoints));
    for (const std::string& role : stage.approvals) require(read->role(role) != nullptr);
    require_rules(stage.criteria);
    require_rules(stage.warnings);
  }
  for (int hour = 0; hour < 24; ++hour) {
    require(read->roster.on_duty(Time(std::chrono::hours(hour))) != nullptr);
  }
  require(!timeline_svg(*read).empty() && !timeline_table(*read).empty());
  (void)rehearsal::parse_faults("f", text, *read);
  return 0;
}
