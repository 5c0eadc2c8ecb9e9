#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/analyzer.h"
#include "analyzer/past.h"

// Bodies of the hot routes, written straight into the answer's reused buffer; the large and rare
// ones are built as a tree (analyzer/json.h).
namespace covey::service {

/// Body of GET /v1/learners/{id}; `engine` names the engine that answered.
void append_learner(std::string& out, const analyzer::Answer& answer, std::string_view engine);
/// Body of GET /v1/learners/{id}/traits. Traits are null for a dormant learner.
void append_traits(std::string& out, const analyzer::Answer& answer);

/// Body of GET /v1/learners/{id}/history. Without weeks where the log was not read to its
/// beginning: traits ask for every event.
void append_history(std::string& out, std::string_view learner, const analyzer::Past& past,
                    const std::vector<analyzer::PastFacts>& weeks);
/// Body of GET /v1/learners/{id}/events: the events `from` on, at most `limit` of them, newest
/// first; `next` is the cursor of the page after, empty: there is none.
void append_events(std::string& out, std::string_view learner, const analyzer::Past& past,
                   std::size_t from, std::size_t limit, std::string_view next);

/// A rejected row as an answer names it.
struct RowError {
  std::uint64_t line;
  std::string reason;
};
inline constexpr std::size_t kRowErrorsMax = 1000;

/// Members of the answer to POST /v1/events, without the braces: accepted, duplicates, rejected,
/// errors, errors_omitted.
void append_receipt_members(std::string& out, const analyzer::Receipt& receipt,
                            const std::vector<RowError>& errors);

}  // namespace covey::service
