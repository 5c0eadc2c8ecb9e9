#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/analyzer.h"

// Bodies of the hot routes, written straight into the answer's reused buffer; the large and rare
// ones are built as a tree (analyzer/json.h).
namespace covey::service {

/// Body of GET /v1/learners/{id}; `engine` names the engine that answered.
void append_learner(std::string& out, const analyzer::Answer& answer, std::string_view engine);
/// Body of GET /v1/learners/{id}/traits. Traits are null for a dormant learner.
void append_traits(std::string& out, const analyzer::Answer& answer);

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
