#include "rollout/json.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "base/time.h"

namespace covey::rollout {

using Json = nlohmann::ordered_json;

Json to_json(const Evidence& evidence) {
  Json out = {{"criterion", evidence.criterion},
              {"verdict", stats::name(evidence.verdict)},
              {"text", evidence.text}};
  if (evidence.value) out["value"] = *evidence.value;
  // Evidence of levels is read, not weighed.
  if (evidence.log_e_pass != 0 || evidence.log_e_fail != 0) {
    out["log_e_pass"] = evidence.log_e_pass;
    out["log_e_fail"] = evidence.log_e_fail;
  }
  if (evidence.more_needed && evidence.verdict == stats::Verdict::kUndecided) {
    out["more_needed"] = std::ceil(*evidence.more_needed);
  }
  return out;
}

Json to_json(const Decision& decision) {
  Json evidence = Json::array();
  for (const Evidence& e : decision.evidence) evidence.push_back(to_json(e));
  Json out = {{"at", format_time(decision.at)},
              {"phase", decision.phase},
              {"decision", decision.what},
              {"share", decision.share / 10'000.0},
              {"cause", decision.cause}};
  if (!evidence.empty()) out["evidence"] = std::move(evidence);
  return out;
}

}  // namespace covey::rollout
