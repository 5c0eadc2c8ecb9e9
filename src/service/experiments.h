#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace covey::service {

/// What is served of one experiment: the newest analysis of it, as text that somebody else made.
struct ExperimentView {
  std::string name, question;
  std::string decision, verdict;  ///< empty before the first analysis
  std::string json, html;
  std::optional<Time> as_of, made;  ///< up to when events count; when it was computed
  std::chrono::milliseconds took{};
  std::string fault;  ///< of the last attempt; the analysis before it is still shown
};

/// The experiments a service was told of, in that order. From any thread.
class Experiments {
 public:
  /// Adds it, or replaces the one of the same name.
  void put(ExperimentView view);
  std::shared_ptr<const ExperimentView> find(std::string_view name) const;
  /// Body of GET /v1/experiments.
  std::string list() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const ExperimentView>> views_;
};

}  // namespace covey::service
