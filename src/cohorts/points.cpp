#include "cohorts/points.h"

#include <algorithm>
#include <cmath>

namespace covey::cohorts {

Points::Points(std::size_t n) : n_(n) {
  const std::size_t padded = tasks_for(std::max<std::size_t>(n, 1), kLanes) * kLanes;
  for (auto& column : column_)
    column.reset(
        static_cast<float*>(::operator new[](padded * sizeof(float), std::align_val_t{64})));
}

std::array<const float*, kDims> Points::columns(std::size_t from) const {
  std::array<const float*, kDims> result{};
  for (std::size_t d = 0; d < kDims; ++d) result[d] = column_[d].get() + from;
  return result;
}

std::array<float, kDims> Points::at(std::size_t i) const {
  std::array<float, kDims> result{};
  for (std::size_t d = 0; d < kDims; ++d) result[d] = column_[d][i];
  return result;
}

std::array<double, kDims> coordinate_factor(const std::array<double, kDims>& scale) {
  std::array<double, kDims> factor{};
  for (std::size_t d = 0; d < kDims; ++d) factor[d] = std::sqrt(kWeights[d]) / scale[d];
  return factor;
}

Standardised standardise(const learners::TraitColumns& columns, Parallel& parallel) {
  const std::size_t rows = columns.size();
  const std::size_t chunks = tasks_for(rows, kChunk);
  const std::uint8_t* in = columns.clusterable.data();
  Standardised result;

  // Deviations from one of the values rather than the values: a constant column then has a
  // variance of exactly 0, and a narrow one loses nothing to cancellation.
  const auto first =
      static_cast<std::size_t>(std::find_if(columns.clusterable.begin(), columns.clusterable.end(),
                                            [](std::uint8_t c) { return c != 0; }) -
                               columns.clusterable.begin());
  std::array<double, kDims> origin{};
  if (first < rows)
    for (std::size_t d = 0; d < kDims; ++d) origin[d] = columns.trait[d][first];

  struct Moments {
    std::size_t count = 0;
    std::array<double, kDims> sum{}, square{};
  };
  std::vector<Moments> part(chunks);
  parallel.run(chunks, [&](std::size_t c) {
    Moments m;
    const std::size_t begin = c * kChunk, end = std::min(rows, begin + kChunk);
    for (std::size_t i = begin; i < end; ++i) m.count += in[i] != 0;
    for (std::size_t d = 0; d < kDims; ++d) {
      const float* x = columns.trait[d].data();
      double sum[4] = {}, square[4] = {};
      by_lane(begin, end, [&](std::size_t lane, std::size_t i) {
        // Times 0 or 1: who is clusterable no branch predictor knows.
        const double deviation = (static_cast<double>(x[i]) - origin[d]) * in[i];
        sum[lane] += deviation;
        square[lane] += deviation * deviation;
      });
      m.sum[d] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
      m.square[d] = (square[0] + square[1]) + (square[2] + square[3]);
    }
    part[c] = m;
  });
  Moments all;
  result.before.push_back(0);
  for (const Moments& m : part) {
    all.count += m.count;
    result.before.push_back(all.count);
    for (std::size_t d = 0; d < kDims; ++d) {
      all.sum[d] += m.sum[d];
      all.square[d] += m.square[d];
    }
  }

  const auto n = static_cast<double>(std::max<std::size_t>(all.count, 1));
  for (std::size_t d = 0; d < kDims; ++d) {
    const double mean = all.sum[d] / n;
    const double variance = all.square[d] / n - mean * mean;
    result.mean[d] = origin[d] + mean;
    result.scale[d] = variance > 0 ? std::sqrt(variance) : 1;
  }

  result.points = Points(all.count);
  const auto factor = coordinate_factor(result.scale);
  parallel.run(chunks, [&](std::size_t c) {
    const std::size_t begin = c * kChunk, end = std::min(rows, begin + kChunk);
    const bool everyone = result.before[c + 1] - result.before[c] == end - begin;
    for (std::size_t d = 0; d < kDims; ++d) {
      const float* x = columns.trait[d].data();
      float* const out = result.points.column(d);
      const double mean = result.mean[d], f = factor[d];
      const auto place = [&](std::size_t i) {
        return static_cast<float>((static_cast<double>(x[i]) - mean) * f);
      };
      std::size_t at = result.before[c];
      if (everyone) {
        for (std::size_t i = begin; i < end; ++i) out[at++] = place(i);
      } else {
        // Written in any case, kept if it counts; never beyond the last that does.
        for (std::size_t i = begin; at < result.before[c + 1]; ++i) {
          out[at] = place(i);
          at += in[i];
        }
      }
    }
  });
  return result;
}

std::vector<std::uint32_t> draw(std::size_t n, std::size_t count, Random random) {
  count = std::min(n, count);
  std::vector<std::uint32_t> index(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = i * n / count, end = (i + 1) * n / count;
    index[i] =
        static_cast<std::uint32_t>(begin + (end - begin > 1 ? random.below(end - begin) : 0));
  }
  return index;
}

Points gather(const Points& points, std::span<const std::uint32_t> index) {
  Points result(index.size());
  for (std::size_t d = 0; d < kDims; ++d) {
    const float* from = points.column(d);
    float* to = result.column(d);
    for (std::size_t i = 0; i < index.size(); ++i) to[i] = from[index[i]];
  }
  return result;
}

double sum_of_squares(const Points& points, Parallel& parallel) {
  const std::size_t chunks = tasks_for(points.size(), kChunk);
  std::vector<double> part(chunks);
  parallel.run(chunks, [&](std::size_t c) {
    const std::size_t begin = c * kChunk, end = std::min(points.size(), begin + kChunk);
    double sum[4] = {};
    for (std::size_t d = 0; d < kDims; ++d) {
      const float* x = points.column(d);
      by_lane(begin, end, [&](std::size_t lane, std::size_t i) {
        sum[lane] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      });
    }
    part[c] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  });
  double sum = 0;
  for (const double p : part) sum += p;
  return sum;
}

}  // namespace covey::cohorts
