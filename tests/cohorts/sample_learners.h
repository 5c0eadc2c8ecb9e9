#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "cohorts/discovery.h"
#include "cohorts/points.h"

namespace covey::cohorts::given {

inline constexpr std::array<const char*, 3> kDates = {"2013-06-01", "2014-02-01", "2015-02-01"};

/// The OULAD learners' reference traits on a date; clusterable from 5 practice events on.
inline learners::TraitColumns oulad(const std::string& date) {
  std::ifstream in(std::string(COVEY_SOURCE_DIR "/tests/fixtures/oulad_traits_") + date + ".csv");
  learners::TraitColumns columns;
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    std::string cell;
    std::getline(cells, cell, ',');
    columns.learner.push_back(static_cast<learners::LearnerRef>(columns.learner.size()));
    for (auto& trait : columns.trait) {
      std::getline(cells, cell, ',');
      trait.push_back(std::stof(cell));
    }
    std::getline(cells, cell, ',');
    columns.clusterable.push_back(std::stoi(cell) >= 5);
  }
  return columns;
}

inline void add(learners::TraitColumns& columns, const std::array<double, kDims>& traits,
                bool clusterable = true) {
  columns.learner.push_back(static_cast<learners::LearnerRef>(columns.learner.size()));
  columns.clusterable.push_back(clusterable);
  for (std::size_t d = 0; d < kDims; ++d)
    columns.trait[d].push_back(static_cast<float>(std::clamp(traits[d], 0.0, 1.0)));
}

/// Kinds of learners far enough apart to be told apart.
inline constexpr std::array<std::array<double, kDims>, 6> kKinds = {{{0.8, 0.3, 0.4, 0.6, 0.5},
                                                                     {0.2, 0.9, 0.3, 0.5, 0.5},
                                                                     {0.3, 0.3, 0.9, 0.9, 0.6},
                                                                     {0.1, 0.5, 0.4, 0.5, 0.95},
                                                                     {0.2, 0.2, 0.1, 0.4, 0.2},
                                                                     {0.7, 0.8, 0.9, 0.2, 0.9}}};

inline std::array<double, kDims> near_kind(std::size_t kind, double blur, Random& random) {
  auto traits = kKinds[kind];
  for (double& t : traits) t += blur * random.normal();
  return traits;
}

/// `n` learners of the first `kinds` kinds; `truth` receives the kind of each.
inline learners::TraitColumns planted(std::size_t n, std::size_t kinds, double blur,
                                      std::uint64_t seed,
                                      std::vector<std::uint8_t>* truth = nullptr) {
  Random random(seed);
  learners::TraitColumns columns;
  for (std::size_t i = 0; i < n; ++i) {
    const auto kind = static_cast<std::size_t>(random.below(kinds));
    add(columns, near_kind(kind, blur, random));
    if (truth) truth->push_back(static_cast<std::uint8_t>(kind));
  }
  return columns;
}

/// The seeds a property runs over, or only the one in COVEY_SEED.
inline std::vector<std::uint64_t> seeds(std::uint64_t count) {
  if (const char* one = std::getenv("COVEY_SEED")) return {std::strtoull(one, nullptr, 10)};
  std::vector<std::uint64_t> all(count);
  for (std::uint64_t i = 0; i < count; ++i) all[i] = i + 1;
  return all;
}

inline std::uint64_t key_of(std::size_t i) {
  return mix64(i + 1);
}
inline std::uint64_t key_of_ref(learners::LearnerRef ref) {
  return key_of(static_cast<std::size_t>(ref));
}

}  // namespace covey::cohorts::given
