#include "learn/layer_work.hpp"

#include <algorithm>
#include <cmath>

#include "learn/basis.hpp"
#include "learn/effort.hpp"

namespace halftone::learn {
namespace {

// What other things take, in roundings of an element to its nearest level, or in multiplications (measured).
constexpr double kReading = 0.48;    // of an element: reading, quantizing to nearest, packing, writing
constexpr double kRounding = 1.0;    // of an element: finding its level, or whether it flips
constexpr double kStep = 0.175;      // of an element: a step of an optimizer
constexpr double kFeedback = 1.03;   // of an element: rounding it in view of others
constexpr double kEigenvectors = 4;  // those of a matrix, by the cube of its side
constexpr double kFactor = 0.35;     // a Cholesky factor, likewise

Work& operator+=(Work& a, const Work& b) {
  a.products += b.products;
  a.elements += b.elements;
  a.copies += b.copies;
  a.waits += b.waits;
  return a;
}
Work operator*(double factor, const Work& work) {
  return {factor * work.products, factor * work.elements, factor * work.copies, factor * work.waits};
}

/// Finding a basis.
Work of_basis(double rows, double columns, double rank, int power_iterations) {
  const auto count = [](double value) { return static_cast<std::uint64_t>(value); };
  const double smaller = std::min(rows, columns);
  if (prefers_exact(count(rank), count(rows), count(columns))) {
    return {rows * columns * (smaller + 2 * rank) + kEigenvectors * smaller * smaller * smaller + 2 * (rows + columns) * rank * rank};
  }
  const auto wide = static_cast<double>(oversampled(count(rank), count(rows), count(columns)));
  const double power = power_iterations;
  return {(2 * power + 5) * rows * columns * wide + (power + 4) * 2 * rows * wide * wide + kEigenvectors * wide * wide * wide};
}

/// Measuring a loss, and taking its gradient.
double of_slope(double rows, double columns, double rank) { return 2 * (rows * columns * rank + rows * rank * rank); }

Work of_projection(double rows, double columns, double rank, double passes) {
  return passes * Work{of_slope(rows, columns, rank), kRounding * rows * columns};
}

Work of_feedback(double rows, double columns, double sweeps) {
  return {kFactor * columns * columns * columns + (3.3 + sweeps) * rows * columns * columns, (1 + sweeps) * kFeedback * rows * columns};
}

Work of_method(const LearnRecipe& recipe, double rows, double columns, double rank) {
  const EffortNumbers numbers = numbers_of(recipe.effort);
  switch (recipe.method) {
    case LearnMethod::nearest: break;
    case LearnMethod::feedback: return of_feedback(rows, columns, numbers.sweeps);
    case LearnMethod::closed:
    case LearnMethod::project: {
      const double flips = numbers.flip_passes;
      Work work = of_basis(rows, columns, rank, numbers.power_iterations);
      return work += of_projection(rows, columns, rank, recipe.method == LearnMethod::closed ? 2 : 10 + flips);
    }
    case LearnMethod::optimizer: {
      const double steps = recipe.optimizer.schedule.iterations;
      const Work step{recipe.optimizer.full_loss ? 0.0 : of_slope(rows, columns, rank), kStep * rows * columns};
      Work work = recipe.optimizer.full_loss ? Work{} : of_basis(rows, columns, rank, numbers.power_iterations);
      return work += steps * step;
    }
  }
  return {};
}

}  // namespace

Work layer_work(const LearnRecipe& recipe, std::uint64_t rows, std::uint64_t columns, Machine /*machine*/) {
  const auto m = static_cast<double>(rows);
  const auto n = static_cast<double>(columns);
  Work work{0, kReading * m * n};
  work += of_method(recipe, m, n, static_cast<double>(rank_of(recipe.rank, rows, columns)));
  if (recipe.lora_rank > 0) work += of_basis(m, n, static_cast<double>(recipe.lora_rank), kLoraPowerIterations);
  return work;
}

}  // namespace halftone::learn
