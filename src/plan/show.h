#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"

namespace covey::plan {

/// A line of the timeline.
struct Row {
  enum class Kind : std::uint8_t { kStage, kMonitoring, kWork, kTask } kind = Kind::kStage;
  std::string name;
  Time start, end;
  BasisPoints share = 0;    ///< of stages and monitoring
  std::vector<Time> marks;  ///< checkpoints, looks, reports
};
/// Stages, monitoring and work in order of their start; tasks below their work.
std::vector<Row> timeline(const Plan& plan);

/// A table for the terminal: one line a row, criteria and approvals below stages. Ends with \n.
std::string timeline_table(const Plan& plan);

/// A Gantt chart, self-contained; times UTC. The first days, in which stages are hours long, are
/// drawn again on a scale of their own.
std::string timeline_svg(const Plan& plan);

}  // namespace covey::plan
