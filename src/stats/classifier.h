#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "stats/status.h"

namespace covey::stats {

/// How good scores in [0, 1] are at telling 1 from 0.
struct ClassifierMetrics {
  Status status = Status::kOk;
  std::optional<double> auc;  ///< area under the ROC curve; nothing where only one class occurs
  std::optional<double> average_precision;
  std::optional<double> brier;     ///< mean squared error of the scores
  std::optional<double> ece;       ///< expected calibration error over equal-width bins
  std::optional<double> log_loss;  ///< nats; scores kept 1e-15 away from 0 and 1
  std::int64_t tp = 0, fp = 0, fn = 0, tn = 0;        ///< positive: score >= threshold
  std::optional<double> accuracy, precision, recall;  ///< nothing for 0 / 0
};
/// kNoData: no labels. kRejected: labels and scores of different length, a label other than 0 and
/// 1, a score outside [0, 1].
/// Source: as scikit-learn defines them; ece: Guo et al., ICML 2017.
Result<ClassifierMetrics> classifier_metrics(std::span<const std::int64_t> labels,
                                             std::span<const double> scores, double threshold,
                                             std::int64_t bins);

}  // namespace covey::stats
