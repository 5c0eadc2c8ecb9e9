#include "app/comparison.h"

#include <filesystem>

#include <fmt/format.h>

#include "app/files.h"
#include "base/text.h"
#include "load/plots.h"

namespace covey::app {
namespace {

using population::Marginal;
using population::Marginals;

constexpr std::array<const char*, population::kMarginals> kFiles = {"events", "capabilities",
                                                                    "gaps", "weeks"};
constexpr std::size_t kPoints = 400;

double quantile(const std::vector<double>& sorted, double q) {
  return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1) + .5)];
}

/// The share at or below each value, with its steps.
load::Line distribution(std::string name, const std::vector<double>& sorted, unsigned colour) {
  load::Line line{.name = std::move(name), .colour = colour};
  const std::size_t stride = std::max<std::size_t>(1, sorted.size() / kPoints);
  double before = 0;
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t end = std::min(i + stride, sorted.size());
    const double value = sorted[end - 1];
    while (end < sorted.size() && sorted[end] == value) ++end;
    const double share = static_cast<double>(end) / static_cast<double>(sorted.size());
    line.points.emplace_back(value, before);
    line.points.emplace_back(value, share);
    before = share;
    i = end;
  }
  return line;
}

load::Line weekly(std::string name, const std::vector<double>& shares, unsigned colour) {
  load::Line line{.name = std::move(name), .colour = colour};
  for (std::size_t week = 0; week < shares.size(); ++week) {
    line.points.emplace_back(static_cast<double>(week), shares[week]);
  }
  return line;
}

}  // namespace

std::string comparison_table(const population::Distances& distances, const Marginals& simulated,
                             const Marginals& real) {
  std::string out = fmt::format("{:<26}{:>10}{:>11}{:>9}{:>9}{:>9}{:>9}\n", "marginal", "distance",
                                "", "p5", "median", "p95", "values");
  for (std::size_t m = 0; m < population::kMarginals; ++m) {
    const auto row = [&](const std::string& title, const std::string& distance, const char* who,
                         const std::vector<double>& sample) {
      out += fmt::format("{:<26}{:>10}{:>11}{:>9.0f}{:>9.0f}{:>9.0f}{:>9}\n", title, distance, who,
                         quantile(sample, .05), quantile(sample, .5), quantile(sample, .95),
                         grouped(sample.size()));
    };
    row(std::string(name(static_cast<Marginal>(m))), fmt::format("{:.4f}", distances.ks[m]), "real",
        real.samples[m]);
    row("", "", "simulated", simulated.samples[m]);
  }
  out += fmt::format("{:<26}{:>10.4f}\n", "active by week", distances.active);
  return out +
         "\nDistances are those of Kolmogorov and Smirnov, for weeks the largest difference; "
         "0 is equal, 1 apart.\n";
}

Result<void> write_comparison_plots(const std::string& folder,
                                    const population::Distances& distances,
                                    const Marginals& simulated, const Marginals& real) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return fail(Errc::kRejected, fmt::format("cannot make {}: {}", folder, error.message()));
  }
  const auto write = [&](const char* file, const std::vector<load::Line>& lines,
                         const load::Axis& x, const char* y, const std::string& title) {
    const std::string svg = load::standalone(load::line_plot(lines, x, {.title = y}, title));
    return write_file(fmt::format("{}/{}.svg", folder, file), svg);
  };
  for (std::size_t m = 0; m < population::kMarginals; ++m) {
    const auto marginal = static_cast<Marginal>(m);
    const std::string what(name(marginal));
    const auto scale = marginal == Marginal::kWeeks ? load::Scale::kLinear : load::Scale::kLog;
    COVEY_TRY_VOID(
        write(kFiles[m],
              {distribution("real", real.samples[m], 0),
               distribution("simulated", simulated.samples[m], 1)},
              {.title = what, .scale = scale}, "share at or below",
              fmt::format("{}: simulated beside real, distance {:.4f}", what, distances.ks[m])));
  }
  return write(
      "active", {weekly("real", real.active, 0), weekly("simulated", simulated.active, 1)},
      {.title = "weeks since the first"}, "share of learners who practise",
      fmt::format("active by week: simulated beside real, distance {:.4f}", distances.active));
}

}  // namespace covey::app
