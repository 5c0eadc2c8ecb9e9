#include "analyzer/runs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "analyzer/json.h"

namespace covey::analyzer {
namespace {

using nlohmann::ordered_json;

ordered_json flow_json(const Flow& flow) {
  return {{"from", flow.from ? ordered_json(*flow.from) : ordered_json()},
          {"to", flow.to ? ordered_json(*flow.to) : ordered_json()},
          {"learners", flow.learners}};
}

ordered_json run_json(const PastRun& run) {
  ordered_json cohorts = ordered_json::array(), from = ordered_json::array();
  for (const cohorts::Cohort& cohort : run.cohorts) cohorts.push_back(to_json(cohort));
  for (const Flow& flow : run.flows) from.push_back(flow_json(flow));
  ordered_json rand_index;
  if (run.adjusted_rand_index) rand_index = *run.adjusted_rand_index;
  return {{"number", run.number},
          {"made", format_time(run.made)},
          {"times", run.times},
          {"made_last", format_time(run.made_last)},
          {"as_of", format_time(run.as_of)},
          {"learners", run.learners},
          {"k", run.k},
          {"seed", run.seed},
          {"inertia", run.inertia},
          {"silhouette", run.silhouette},
          {"adjusted_rand_index", std::move(rand_index)},
          {"cohorts", std::move(cohorts)},
          {"flows", std::move(from)}};
}

std::optional<cohorts::Archetype> archetype(std::string_view text) {
  for (std::size_t i = 0; i < cohorts::kArchetypes; ++i) {
    const auto one = static_cast<cohorts::Archetype>(i);
    if (cohorts::name(one) == text) return one;
  }
  return std::nullopt;
}

/// Reads what to_json() writes; what it does not know it leaves, for a later version may write
/// more.
class Decoder {
 public:
  bool good() const { return fault_.empty(); }
  const std::string& fault() const { return fault_; }

  PastRun run(const ordered_json& json) {
    PastRun out;
    out.number = whole<std::uint64_t>(json, "number");
    out.made = time(json, "made");
    out.times = whole<std::uint64_t>(json, "times");
    out.made_last = time(json, "made_last");
    out.as_of = time(json, "as_of");
    out.learners = whole<std::uint64_t>(json, "learners");
    out.k = whole<std::uint32_t>(json, "k");
    out.seed = whole<std::uint64_t>(json, "seed");
    out.inertia = number(json, "inertia");
    out.silhouette = number(json, "silhouette");
    if (const ordered_json* value = member(json, "adjusted_rand_index");
        value != nullptr && !value->is_null()) {
      out.adjusted_rand_index = number(json, "adjusted_rand_index");
    }
    for (const ordered_json& one : list(json, "cohorts")) out.cohorts.push_back(cohort(one));
    for (const ordered_json& one : list(json, "flows")) out.flows.push_back(flow(one));
    return out;
  }
  const ordered_json& list(const ordered_json& json, const char* key) {
    static const ordered_json kNone = ordered_json::array();
    const ordered_json* value = member(json, key);
    if (value != nullptr && value->is_array()) return *value;
    note(key);
    return kNone;
  }

 private:
  void note(const char* key) {
    if (fault_.empty()) fault_ = fmt::format("\"{}\" is missing or of another kind", key);
  }
  const ordered_json* member(const ordered_json& json, const char* key) {
    if (json.is_object()) {
      if (const auto at = json.find(key); at != json.end()) return &*at;
    }
    note(key);
    return nullptr;
  }
  double number(const ordered_json& json, const char* key) {
    const ordered_json* value = member(json, key);
    // What could not be measured is not a number, which JSON writes as null.
    if (value != nullptr && value->is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (value == nullptr || !value->is_number()) return note(key), 0;
    return value->get<double>();
  }
  template <typename T>
  T whole(const ordered_json& json, const char* key) {
    const ordered_json* value = member(json, key);
    if (value == nullptr || !value->is_number_unsigned() ||
        !std::in_range<T>(value->get<std::uint64_t>())) {
      return note(key), T{};
    }
    return static_cast<T>(value->get<std::uint64_t>());
  }
  std::string text(const ordered_json& json, const char* key) {
    const ordered_json* value = member(json, key);
    if (value == nullptr || !value->is_string()) return note(key), "";
    return value->get<std::string>();
  }
  Time time(const ordered_json& json, const char* key) {
    const auto parsed = parse_time(text(json, key));
    if (!parsed) return note(key), Time{};
    return *parsed;
  }
  cohorts::Cohort cohort(const ordered_json& json) {
    cohorts::Cohort out;
    out.id = whole<std::uint32_t>(json, "id");
    const auto known = archetype(text(json, "archetype"));
    if (!known) note("archetype");
    out.archetype = known.value_or(cohorts::Archetype::kGeneralist);
    out.size = whole<std::uint64_t>(json, "size");
    out.share = number(json, "share");
    if (const ordered_json* centroid = member(json, "centroid"); centroid != nullptr) {
      for (std::size_t i = 0; i < learners::kTraits; ++i) {
        out.centroid.*learners::kTraitFields[i] =
            number(*centroid, std::string(learners::kTraitNames[i]).c_str());
      }
    }
    out.silhouette = number(json, "silhouette");
    out.stability = number(json, "stability");
    out.sentence = text(json, "sentence");
    return out;
  }
  Flow flow(const ordered_json& json) {
    const auto id = [&](const char* key) -> std::optional<std::uint32_t> {
      const ordered_json* value = member(json, key);
      if (value == nullptr || value->is_null()) return std::nullopt;
      return whole<std::uint32_t>(json, key);
    };
    return {id("from"), id("to"), whole<std::uint64_t>(json, "learners")};
  }

  std::string fault_;
};

bool equal(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

bool same_outcome(const PastRun& a, const cohorts::Discovery& b) {
  const auto same = [](const cohorts::Cohort& x, const cohorts::Cohort& y) {
    return x.id == y.id && x.size == y.size && x.archetype == y.archetype &&
           equal(x.silhouette, y.silhouette) && equal(x.stability, y.stability) &&
           x.sentence == y.sentence;
  };
  return a.as_of == b.as_of && a.learners == b.learners && a.k == b.k && a.seed == b.seed &&
         a.inertia == b.inertia && equal(a.silhouette, b.silhouette) &&
         std::ranges::equal(a.cohorts, b.cohorts, same);
}

}  // namespace

std::vector<Flow> flows(const cohorts::Previous& before, const cohorts::Previous& after) {
  // Labels are a byte; one row and column more for "in none".
  constexpr std::size_t kNone = 256;
  std::vector<std::uint64_t> counted((kNone + 1) * (kNone + 1));
  const auto add = [&](std::size_t from, std::size_t to) { ++counted[from * (kNone + 1) + to]; };
  std::size_t a = 0, b = 0;
  while (a < before.learner.size() || b < after.learner.size()) {
    if (b == after.learner.size() ||
        (a < before.learner.size() && before.learner[a] < after.learner[b])) {
      add(before.label[a++], kNone);
    } else if (a == before.learner.size() || after.learner[b] < before.learner[a]) {
      add(kNone, after.label[b++]);
    } else {
      add(before.label[a++], after.label[b++]);
    }
  }
  std::vector<Flow> out;
  for (std::size_t from = 0; from <= kNone; ++from) {
    for (std::size_t to = 0; to <= kNone; ++to) {
      const std::uint64_t learners = counted[from * (kNone + 1) + to];
      if (learners == 0) continue;
      Flow flow;
      if (from < kNone) flow.from = before.id[from];
      if (to < kNone) flow.to = after.id[to];
      flow.learners = learners;
      out.push_back(flow);
    }
  }
  const auto place = [](const Flow& f) {
    // None last: an absent optional would come first.
    return std::tuple(!f.from, f.from.value_or(0), !f.to, f.to.value_or(0));
  };
  std::ranges::sort(out, {}, place);
  return out;
}

void keep_run(std::vector<PastRun>& runs, const cohorts::Discovery& run, std::vector<Flow> from,
              Time made) {
  if (!runs.empty() && same_outcome(runs.back(), run)) {
    ++runs.back().times;
    runs.back().made_last = made;
    return;
  }
  PastRun one;
  one.number = runs.empty() ? 1 : runs.back().number + 1;
  one.made = one.made_last = made;
  one.as_of = run.as_of;
  one.learners = run.learners;
  one.k = run.k;
  one.seed = run.seed;
  one.inertia = run.inertia;
  one.silhouette = run.silhouette;
  one.adjusted_rand_index = run.adjusted_rand_index;
  one.cohorts = run.cohorts;
  one.flows = std::move(from);
  runs.push_back(std::move(one));
  if (runs.size() > kRunsKept) {
    runs.erase(runs.begin(), runs.end() - static_cast<std::ptrdiff_t>(kRunsKept));
  }
}

ordered_json to_json(const std::vector<PastRun>& runs) {
  ordered_json list = ordered_json::array();
  for (const PastRun& run : runs) list.push_back(run_json(run));
  return {{"runs", std::move(list)}, {"kept", kRunsKept}};
}

std::string encode(const std::vector<PastRun>& runs) {
  return dump(to_json(runs), false);
}

Result<std::vector<PastRun>> decode_runs(std::string_view bytes) {
  const auto json = ordered_json::parse(bytes, nullptr, false);
  Decoder decoder;
  std::vector<PastRun> runs;
  for (const ordered_json& one : decoder.list(json, "runs")) runs.push_back(decoder.run(one));
  if (!decoder.good()) {
    return fail(Errc::kCorrupt, fmt::format("the store's note {}: {}", kRunsKey, decoder.fault()));
  }
  return runs;
}

}  // namespace covey::analyzer
