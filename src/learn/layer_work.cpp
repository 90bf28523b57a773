#include "learn/layer_work.hpp"

#include <algorithm>
#include <cmath>

#include "learn/basis.hpp"

namespace halftone::learn {
namespace {

// What other things take, in multiplications of large products.
constexpr double kElement = 60;       // a pass over the elements that rounds them or makes a step
constexpr double kFactor = 3;         // a multiplication of a Cholesky factor or its inverse
constexpr double kEigenvectors = 60;  // those of a matrix, by the cube of its side
constexpr double kReading = 300;      // of an element: reading, quantizing to nearest, packing, writing

/// Finding a basis; it is a random subspace where that is cheaper (basis.cpp).
double of_basis(double rows, double columns, double rank, Effort effort) {
  const double smaller = std::min(rows, columns);
  if (smaller <= 64 || 2 * rank >= smaller) {
    return rows * columns * smaller + kEigenvectors * smaller * smaller * smaller + rows * columns * rank + (rows + columns) * rank * rank;
  }
  const double wide = 1.5 * rank;
  const double power = effort == Effort::fast ? 2 : effort == Effort::best ? 12 : 4;
  return (2 * power + 5) * rows * columns * wide + (power + 4) * (2 * rows * wide * wide + kFactor * wide * wide * wide) +
         kEigenvectors * wide * wide * wide;
}

/// Measuring a loss, and taking its gradient.
double of_pass(double rows, double columns, double rank) {
  return 2 * (rows * columns * rank + rows * rank * rank) + kElement * rows * columns;
}

double of_feedback(double rows, double columns, Effort effort) {
  const double sweeps = effort == Effort::fast ? 0 : effort == Effort::best ? 3 : 1;
  return kFactor * columns * columns * columns + (2.5 + sweeps) * rows * columns * columns + (2 + sweeps) * 2 * kElement * rows * columns;
}

}  // namespace

double layer_work(const LearnRecipe& recipe, std::uint64_t rows, std::uint64_t columns) {
  const auto m = static_cast<double>(rows);
  const auto n = static_cast<double>(columns);
  const auto k = static_cast<double>(rank_of(recipe.rank, rows, columns));
  double work = kReading * m * n;
  switch (recipe.method) {
    case LearnMethod::nearest: break;
    case LearnMethod::closed: work += of_basis(m, n, k, recipe.effort) + 2 * of_pass(m, n, k); break;
    case LearnMethod::project: {
      const double flips = recipe.effort == Effort::fast ? 8 : recipe.effort == Effort::best ? 32 : 16;
      work += of_basis(m, n, k, recipe.effort) + (10 + flips) * of_pass(m, n, k);
      break;
    }
    case LearnMethod::feedback: work += of_feedback(m, n, recipe.effort); break;
    case LearnMethod::optimizer: {
      const double steps = recipe.optimizer.schedule.iterations;
      work += recipe.optimizer.full_loss ? steps * 3 * kElement * m * n
                                         : of_basis(m, n, k, recipe.effort) + steps * (of_pass(m, n, k) + 2 * kElement * m * n);
      break;
    }
  }
  if (recipe.lora_rank > 0) work += of_basis(m, n, static_cast<double>(recipe.lora_rank), Effort::usual);
  return work;
}

}  // namespace halftone::learn
