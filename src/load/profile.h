#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace covey::load {

/// How the rates of a load go over its length: a factor of them at each moment, straight between
/// its points.
///
/// A load without an end has the constant profile only.
class Profile {
 public:
  /// A factor of 1 throughout.
  Profile() = default;
  /// Reads "constant", "step:0.5,1,2" (pieces of equal length), or "ramp:0.1..2". kRejected.
  static Result<Profile> parse(std::string_view text, std::chrono::nanoseconds length);
  /// Requests by hour of a day, scaled so that their mean is a factor of 1: the day takes `length`.
  /// `text` has 24 lines, a count each, a comma and whatever came before it aside (so
  /// "hour,requests" will do, with its heading); blank lines and those that begin with # are passed
  /// over. kRejected.
  static Result<Profile> daily(std::string_view text, std::chrono::nanoseconds length);

  double factor(std::chrono::nanoseconds at) const;
  double mean() const;     ///< over the whole length
  double highest() const;  ///< the largest factor
  bool constant() const { return pieces_.empty(); }
  const std::string& name() const { return name_; }

  /// The moment by which `area` seconds' worth of a constant rate have come since `from`; nothing
  /// when the profile ends before. Needs `from` to grow from call to call.
  class Walk {
   public:
    explicit Walk(const Profile& profile) : profile_(&profile) {}
    std::optional<double> advance(double from, double area);

   private:
    const Profile* profile_;
    std::size_t piece_ = 0;
  };

 private:
  /// Seconds, and the factor at its begin and end.
  struct Piece {
    double begin, end, first, last;
  };
  std::vector<Piece> pieces_;
  std::string name_ = "constant";
};

/// When requests come: a Poisson process whose rate follows a profile.
///
/// Exact, by the inverse of the cumulated rate (Cinlar, "Introduction to Stochastic Processes",
/// 1975, section 4.7): a unit exponential is the area to the next arrival.
class Arrivals {
 public:
  Arrivals(double per_second, const Profile& profile, Random random)
      : per_second_(per_second), walk_(profile), random_(random) {}
  /// Since the begin of the load, ascending; nothing once the profile's last is behind.
  std::optional<std::chrono::nanoseconds> next();

 private:
  double per_second_;
  Profile::Walk walk_;
  Random random_;
  double at_ = 0;  // seconds
  bool over_ = false;
};

}  // namespace covey::load
