#include "stats/classifier.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace covey::stats {

Result<ClassifierMetrics> classifier_metrics(std::span<const std::int64_t> labels,
                                             std::span<const double> scores, double threshold,
                                             std::int64_t bins) {
  Inputs in;
  in.require(labels.size() == scores.size(), "labels and scores must have the same length");
  in.require(std::ranges::all_of(labels, [](std::int64_t l) { return l == 0 || l == 1; }),
             "labels must be 0 or 1");
  in.require(std::ranges::all_of(scores, [](double s) { return s >= 0 && s <= 1; }),
             "scores must lie in [0, 1]");
  in.finite("threshold", threshold);
  in.require(bins >= 1 && bins <= 1'000'000, "bins must be 1 to 1,000,000");
  COVEY_TRY_VOID(in.verdict());
  ClassifierMetrics out;
  if (labels.empty()) {
    out.status = Status::kNoData;
    return out;
  }
  const auto n = static_cast<double>(labels.size());
  struct Bin {
    double score = 0, label = 0;
  };
  std::vector<Bin> histogram(static_cast<std::size_t>(bins));
  double brier = 0;
  double log_loss = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool positive = scores[i] >= threshold;
    (labels[i] == 1 ? (positive ? out.tp : out.fn) : (positive ? out.fp : out.tn)) += 1;
    const double off = scores[i] - static_cast<double>(labels[i]);
    brier += off * off;
    const double likely = std::clamp(labels[i] == 1 ? scores[i] : 1 - scores[i], 1e-15, 1 - 1e-15);
    log_loss -= std::log(likely);
    Bin& bin = histogram[static_cast<std::size_t>(std::min(
        std::floor(scores[i] * static_cast<double>(bins)), static_cast<double>(bins - 1)))];
    bin.score += scores[i];
    bin.label += static_cast<double>(labels[i]);
  }
  out.brier = brier / n;
  out.log_loss = log_loss / n;
  double ece = 0;
  for (const Bin& bin : histogram) ece += std::abs(bin.score - bin.label);
  out.ece = ece / n;
  out.accuracy = static_cast<double>(out.tp + out.tn) / n;
  if (out.tp + out.fp > 0) {
    out.precision = static_cast<double>(out.tp) / static_cast<double>(out.tp + out.fp);
  }
  if (out.tp + out.fn > 0) {
    out.recall = static_cast<double>(out.tp) / static_cast<double>(out.tp + out.fn);
  }

  std::vector<std::size_t> order(labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, std::greater(), [&](std::size_t i) { return scores[i]; });
  const auto positives = static_cast<double>(out.tp + out.fn);
  const double negatives = n - positives;
  double true_so_far = 0;
  double false_so_far = 0;
  double pairs_won = 0;
  double average_precision = 0;
  for (std::size_t i = 0; i < order.size();) {  // one distinct score at a time
    double here_true = 0;
    double here_false = 0;
    for (const double score = scores[order[i]]; i < order.size() && scores[order[i]] == score;
         ++i) {
      (labels[order[i]] == 1 ? here_true : here_false) += 1;
    }
    pairs_won += here_true * (negatives - false_so_far - 0.5 * here_false);
    true_so_far += here_true;
    false_so_far += here_false;
    average_precision += here_true * true_so_far / (true_so_far + false_so_far);
  }
  if (positives > 0 && negatives > 0) out.auc = pairs_won / (positives * negatives);
  // Without positives every precision is 0, and so is their sum, whatever recall is taken to be.
  out.average_precision = positives > 0 ? average_precision / positives : 0;
  return out;
}

}  // namespace covey::stats
