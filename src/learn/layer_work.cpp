#include "learn/layer_work.hpp"

#include <algorithm>

#include "learn/basis.hpp"
#include "learn/effort.hpp"
#include "learn/method.hpp"

namespace halftone::learn {
namespace {

// What other things take, in multiplications of large products on one thread of a processor (AVX2, measured).
constexpr double kReading = 300;     // of an element: reading, quantizing to nearest, packing, writing
constexpr double kRounding = 630;    // of an element: finding its level, or whether it flips
constexpr double kEigenvectors = 4;  // those of a matrix, by the cube of its side

/// On a GPU, a pass over the elements waits for memory while products do not.
constexpr double kElementsOnGpu = 25;

}  // namespace

Work basis_work(const Extent& extent, int power_iterations) {
  const auto rows = static_cast<double>(extent.rows);
  const auto columns = static_cast<double>(extent.columns);
  const auto rank = static_cast<double>(extent.rank);
  const double smaller = std::min(rows, columns);
  if (prefers_exact(extent.rank, extent.rows, extent.columns)) {
    return {rows * columns * (smaller + 2 * rank) + kEigenvectors * smaller * smaller * smaller + 2 * (rows + columns) * rank * rank};
  }
  const auto wide = static_cast<double>(oversampled(extent.rank, extent.rows, extent.columns));
  const double power = power_iterations;
  return {(2 * power + 5) * rows * columns * wide + (power + 4) * 2 * rows * wide * wide + kEigenvectors * wide * wide * wide};
}

Work slope_work(const Extent& extent) {
  const auto rows = static_cast<double>(extent.rows);
  const auto rank = static_cast<double>(extent.rank);
  return {2 * (rows * static_cast<double>(extent.columns) * rank + rows * rank * rank)};
}

Work projection_work(const Extent& extent, double passes) {
  Work pass = slope_work(extent);
  pass.elements = kRounding * static_cast<double>(extent.weight());
  return passes * pass;
}

double layer_work(const LearnRecipe& recipe, std::uint64_t rows, std::uint64_t columns, DeviceKind device) {
  const Extent extent{rows, columns, rank_of(recipe.rank, rows, columns)};
  Work work{0, kReading * static_cast<double>(extent.weight())};
  work += method_of(recipe.method).work(recipe, extent);
  if (recipe.lora_rank > 0) work += basis_work({rows, columns, recipe.lora_rank}, kLoraPowerIterations);
  return work.products + (device == DeviceKind::gpu ? kElementsOnGpu : 1.0) * work.elements;
}

}  // namespace halftone::learn
