#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "plan/plan.h"

namespace covey::plan {

/// What a name in a plan stands for.
enum class Refers : std::uint8_t { kRole, kNext, kNeed };

inline constexpr std::size_t kSegmentsMax = 32;

/// Whether the parts of a plan hold together, told with their places in the file. The parser hands
/// over each part as it reads it and asks for the faults once all names are known.
class Structure {
 public:
  /// A phase or task is called so; names are told apart over the whole file.
  void name(const config::Value& place, const std::string& name);
  void refer(const config::Value& place, std::string name, Refers to);
  /// The places of the parts, in the order of Plan's vectors.
  void stage(const config::Value& place) { stages_.push_back(place); }
  void monitoring(const config::Value& place) { monitoring_.push_back(place); }
  void work(const config::Value& place) { work_.push_back(place); }

  void check_roster(const config::Value& place, const Roster& roster) const;
  /// Notes every fault of the whole.
  void check(const Plan& plan) const;

 private:
  struct Reference {
    config::Value place;
    std::string name;
    Refers to;
  };
  void check_references(const Plan& plan) const;
  void check_order(const Plan& plan) const;
  void check_reach(const Plan& plan) const;
  void check_needs(const Plan& plan) const;

  std::map<std::string, config::Value> names_;
  std::vector<Reference> references_;
  std::vector<config::Value> stages_, monitoring_, work_;
};

}  // namespace covey::plan
