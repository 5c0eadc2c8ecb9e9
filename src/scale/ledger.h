#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace covey::scale {

/// What POST /v1/events answered.
struct Receipt {
  std::uint64_t accepted = 0, duplicates = 0, rejected = 0;
};
std::optional<Receipt> read_receipt(std::string_view body);

/// What a service must still know after whatever befell it: each batch is asked for again, word for
/// word, and the answer tells how much of it was there.
struct Ledger {
  std::uint64_t batches = 0, events = 0;  ///< acknowledged
  std::uint64_t known = 0;                ///< of those, still there: answered as duplicates
  std::uint64_t lost = 0;                 ///< of those, taken as if new, or refused
  std::uint64_t in_doubt = 0;             ///< batches sent without an answer: there or not, whole
  std::uint64_t in_doubt_torn = 0;        ///< of those, neither whole nor absent
  std::uint64_t unasked = 0;              ///< acknowledged events that could not be asked for again

  void acknowledged(std::uint64_t batch_events, const std::optional<Receipt>& again);
  void doubtful(std::uint64_t batch_events, const std::optional<Receipt>& again);
  /// Every acknowledged event was asked for and is there exactly once.
  bool holds() const { return lost == 0 && unasked == 0 && in_doubt_torn == 0 && known == events; }
};

/// Practice events of some learners, by name.
using PracticeCounts = std::unordered_map<std::string, std::uint64_t>;
/// Adds those of the learners in `counts` that `ndjson`, as the simulation writes it, has.
void add_practice(std::string_view ndjson, PracticeCounts& counts);
/// The learner of the first line; empty where it has none.
std::string first_learner(std::string_view ndjson);

}  // namespace covey::scale
