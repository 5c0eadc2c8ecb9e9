#include "scale/ledger.h"

#include <nlohmann/json.hpp>

namespace covey::scale {
namespace {

constexpr std::string_view kLearner = R"("learner":")";

std::string_view learner_of(std::string_view line) {
  const std::size_t at = line.find(kLearner);
  if (at == line.npos) return {};
  const std::size_t begin = at + kLearner.size();
  const std::size_t end = line.find('"', begin);
  return end == line.npos ? std::string_view() : line.substr(begin, end - begin);
}

}  // namespace

std::optional<Receipt> read_receipt(std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  Receipt out;
  for (auto [name, to] : {std::pair{"accepted", &out.accepted},
                          {"duplicates", &out.duplicates},
                          {"rejected", &out.rejected}}) {
    const auto at = json.find(name);
    if (at == json.end() || !at->is_number_unsigned()) return std::nullopt;
    *to = at->get<std::uint64_t>();
  }
  return out;
}

void Ledger::acknowledged(std::uint64_t batch_events, const std::optional<Receipt>& again) {
  ++batches;
  events += batch_events;
  if (!again) {
    unasked += batch_events;
    return;
  }
  known += std::min(again->duplicates, batch_events);
  lost += batch_events - std::min(again->duplicates, batch_events);
}

void Ledger::doubtful(std::uint64_t batch_events, const std::optional<Receipt>& again) {
  ++in_doubt;
  // A batch is one record: whole or absent.
  if (again && again->duplicates != 0 && again->duplicates != batch_events) ++in_doubt_torn;
}

void add_practice(std::string_view ndjson, PracticeCounts& counts) {
  std::string name;
  while (!ndjson.empty()) {
    const std::size_t end = std::min(ndjson.find('\n'), ndjson.size());
    const std::string_view line = ndjson.substr(0, end);
    ndjson.remove_prefix(std::min(end + 1, ndjson.size()));
    name = learner_of(line);
    const auto found = counts.find(name);
    if (found != counts.end() && line.find(R"("type":"practice")") != line.npos) ++found->second;
  }
}

std::string first_learner(std::string_view ndjson) {
  return std::string(learner_of(ndjson.substr(0, ndjson.find('\n'))));
}

}  // namespace covey::scale
