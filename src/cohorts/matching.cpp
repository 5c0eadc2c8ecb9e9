#include "cohorts/matching.h"

#include <limits>

#include "base/result.h"

namespace covey::cohorts {

std::vector<std::size_t> best_matching(const std::vector<double>& score, std::size_t rows,
                                       std::size_t columns) {
  COVEY_CHECK(rows <= columns);
  COVEY_CHECK(score.size() == rows * columns);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  // Rows and columns count from 1; column 0 is where the row being placed stands.
  std::vector<double> row_price(rows + 1), column_price(columns + 1);
  std::vector<std::size_t> row_of(columns + 1), came_from(columns + 1);
  for (std::size_t row = 1; row <= rows; ++row) {
    row_of[0] = row;
    std::size_t at = 0;
    std::vector<double> slack(columns + 1, kInfinity);
    std::vector<bool> reached(columns + 1);
    do {
      reached[at] = true;
      const std::size_t r = row_of[at];
      double step = kInfinity;
      std::size_t next = 0;
      for (std::size_t c = 1; c <= columns; ++c) {
        if (reached[c]) continue;
        const double cost = -score[(r - 1) * columns + (c - 1)] - row_price[r] - column_price[c];
        if (cost < slack[c]) {
          slack[c] = cost;
          came_from[c] = at;
        }
        if (slack[c] < step) {
          step = slack[c];
          next = c;
        }
      }
      for (std::size_t c = 0; c <= columns; ++c) {
        if (reached[c]) {
          row_price[row_of[c]] += step;
          column_price[c] -= step;
        } else {
          slack[c] -= step;
        }
      }
      at = next;
    } while (row_of[at] != 0);
    while (at != 0) {
      row_of[at] = row_of[came_from[at]];
      at = came_from[at];
    }
  }
  std::vector<std::size_t> result(rows);
  for (std::size_t c = 1; c <= columns; ++c)
    if (row_of[c] != 0) result[row_of[c] - 1] = c - 1;
  return result;
}

}  // namespace covey::cohorts
