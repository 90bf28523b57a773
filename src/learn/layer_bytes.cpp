#include "learn/layer_bytes.hpp"

#include <algorithm>

#include "formats/layer_layout.hpp"
#include "learn/basis.hpp"
#include "learn/method.hpp"

namespace halftone::learn {
namespace {

constexpr std::uint64_t kFloat = sizeof(float);

/// What is there whatever the method: the weight and its errors, and, a byte each, the stored codes, the levels and those
/// of a method; the scales as they are stored and on the grid.
std::uint64_t of_quantized(const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns) {
  const formats::LayerLayout layout(spec, rows, columns);
  const std::uint64_t groups = layout.has_group_scales() ? std::max(layout.scale_count(layout.rows()) * layout.group_rows(), rows) : rows;
  return rows * columns * (2 * kFloat + 2) + layout.code_bytes(layout.rows()) + 2 * layout.scale_bytes(layout.rows()) +
         3 * groups * kFloat + columns * kFloat;
}

/// While a basis is found: the weight as it is multiplied, of binary16 at least where that is not the weight itself; random
/// subspaces of both sides, room for one of them, and what lies between; then the basis.
std::uint64_t basis_search_bytes(const Extent& extent) {
  const std::uint64_t wide = oversampled(extent.rank, extent.rows, extent.columns);
  return extent.weight() * kFloat / 2 + (extent.sides() * (extent.rank + 2 * wide) + 4 * wide * wide) * kFloat;
}
std::uint64_t basis_bytes(const Extent& extent) { return extent.sides() * extent.rank * kFloat; }

/// Errors as outputs see them, their product with the moments, a rest, and the moments' factor.
std::uint64_t of_lora(const LearnRecipe& recipe, const Extent& extent) {
  const bool fits_outputs = recipe.statistics.second_moment.has_value();
  return (3 * extent.weight() + (fits_outputs ? 2 * extent.moments() : 0)) * kFloat +
         basis_search_bytes({extent.rows, extent.columns, recipe.lora_rank});
}

}  // namespace

std::uint64_t bytes_with_basis(const Extent& extent, std::uint64_t rest) {
  return std::max(basis_search_bytes(extent), basis_bytes(extent) + rest);
}

/// Errors, target and shift; levels and the best ones; what lies between.
std::uint64_t bytes_of_projection(const LearnRecipe&, const Extent& extent) {
  return bytes_with_basis(
      extent, extent.weight() * (3 * kFloat + 2) + extent.sides() * extent.rank * kFloat + 4 * extent.rank * extent.rank * kFloat);
}

std::uint64_t layer_bytes(const LearnRecipe& recipe, const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns) {
  const Extent extent{rows, columns, rank_of(recipe.rank, rows, columns)};
  const std::uint64_t method = method_of(recipe.method).bytes(recipe, extent);
  const std::uint64_t known = (recipe.statistics.second_moment ? 1U : 0U) + (recipe.statistics.cross_moment ? 1U : 0U);
  // The target is moved before there are codes.
  const std::uint64_t target = recipe.statistics.cross_moment ? (2 * extent.moments() + 2 * extent.weight()) * kFloat : 0;
  const std::uint64_t lora = recipe.lora_rank > 0 ? of_lora(recipe, extent) : 0;
  return of_quantized(spec, rows, columns) + known * extent.moments() * kFloat + std::max({method, target, lora});
}

}  // namespace halftone::learn
