#include "stats/group_sequential.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <boost/math/quadrature/gauss.hpp>

#include "stats/special.h"

namespace covey::stats {
namespace {

/// A density sampled where Gauss-Legendre wants it.
struct Nodes {
  std::vector<double> at, weight, density;
};

/// Panels narrow enough for what is convolved over them: a normal kernel of deviation `sd`.
Nodes panels(double low, double high, double sd) {
  using Rule = boost::math::quadrature::gauss<double, 20>;
  const auto count =
      static_cast<std::size_t>(std::clamp((high - low) / (2 * sd), 20.0, 2'000.0)) + 1;
  const double half = (high - low) / (2 * static_cast<double>(count));
  Nodes out;
  for (std::size_t i = 0; i < count; ++i) {
    const double centre = low + (2 * static_cast<double>(i) + 1) * half;
    for (std::size_t j = 0; j < Rule::abscissa().size(); ++j) {
      for (const double side : {-1.0, 1.0}) {
        out.at.push_back(centre + side * half * Rule::abscissa()[j]);
        out.weight.push_back(half * Rule::weights()[j]);
      }
    }
  }
  return out;
}

double density(double z) {
  return std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi);
}

double spent(double t, double alpha, int sides, Spending spending, double phi) {
  if (spending == Spending::kPower) return alpha * std::pow(t, phi);
  return 2 * sides * normal_sf(normal_upper(alpha / (2 * sides)) / std::sqrt(t));
}

}  // namespace

Result<std::vector<double>> group_sequential_bounds(std::span<const double> information,
                                                    double alpha, int sides, Spending spending,
                                                    double phi) {
  Inputs in;
  in.level("alpha", alpha);
  in.require(sides == 1 || sides == 2, "sides must be 1 or 2");
  in.require(!information.empty() && information.size() <= 100,
             "information must list 1 to 100 looks");
  double before = 0;
  for (const double t : information) {
    in.require(t > before && t <= 1, "information must ascend within (0, 1]");
    before = t;
  }
  if (spending == Spending::kPower) in.positive("phi", phi);
  COVEY_TRY_VOID(in.verdict());

  // Brownian motion B with B(t) ~ N(0, t), followed as long as it stays inside the bounds.
  constexpr double kFar = 38;  // deviations: beyond, a tail is below the smallest double
  std::vector<double> bounds;
  Nodes inside;
  double t_before = 0;
  double spent_before = 0;
  for (std::size_t look = 0; look < information.size(); ++look) {
    const double t = information[look];
    const double may_spend = spent(t, alpha, sides, spending, phi) - spent_before;
    const double sd = std::sqrt(t - t_before);
    const auto crosses = [&](double z) {
      const double bound = z * std::sqrt(t);
      if (look == 0) return sides * normal_sf(z);
      double sum = 0;
      for (std::size_t i = 0; i < inside.at.size(); ++i) {
        double tail = normal_sf((bound - inside.at[i]) / sd);
        if (sides == 2) tail += normal_sf((bound + inside.at[i]) / sd);
        sum += inside.weight[i] * inside.density[i] * tail;
      }
      return sum;
    };
    double low = sides == 2 ? 0 : -kFar;
    double high = kFar;
    for (int i = 0; i < 100; ++i) {
      const double middle = (low + high) / 2;
      (crosses(middle) > may_spend ? low : high) = middle;
    }
    const double z = (low + high) / 2;
    const bool open = crosses(kFar) >= may_spend;
    bounds.push_back(open ? std::numeric_limits<double>::infinity() : z);
    spent_before += may_spend;
    if (look + 1 == information.size()) break;

    const double top = std::min(open ? 9.0 : z, 9.0) * std::sqrt(t);
    const double bottom = sides == 2 ? -top : -9 * std::sqrt(t);
    const double next_sd = std::sqrt(information[look + 1] - t);
    Nodes next = panels(bottom, top, std::min(sd, next_sd));
    next.density.reserve(next.at.size());
    for (const double y : next.at) {
      if (look == 0) {
        next.density.push_back(density(y / sd) / sd);
        continue;
      }
      double sum = 0;
      for (std::size_t i = 0; i < inside.at.size(); ++i) {
        sum += inside.weight[i] * inside.density[i] * density((y - inside.at[i]) / sd);
      }
      next.density.push_back(sum / sd);
    }
    inside = std::move(next);
    t_before = t;
  }
  return bounds;
}

}  // namespace covey::stats
