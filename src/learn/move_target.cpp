#include "learn/move_target.hpp"

#include "learn/squared_norm.hpp"

namespace halftone::learn {

std::optional<MovedTarget> move_target(MatrixEngine& engine, const Matrix& weight, const Moments& moments, std::optional<double> damping) {
  const std::uint64_t columns = weight.columns;
  const double normaliser = normaliser_of(engine, moments.second);
  if (normaliser == 0) return std::nullopt;
  const double added = damping.value_or(damping_for(columns, moments.count));
  if (!is_semidefinite(engine, moments.second, normaliser, added)) return std::nullopt;
  Memory memory(engine);
  const Matrix second = damped(engine, memory, moments.second, normaliser, added);
  const Matrix cross = damped(engine, memory, moments.cross, normaliser, added);
  if (!engine.cholesky(second)) return std::nullopt;
  engine.invert_lower(second);
  // (H + λ I)⁻¹ = L⁻ᵀ L⁻¹.
  const Matrix product = memory.matrix(weight.rows, columns);
  const Matrix half = memory.matrix(weight.rows, columns);
  engine.multiply({.a = weight, .b = cross, .c = product, .full_precision = true});
  engine.multiply({.a = product, .b = second, .transpose_b = true, .c = half, .full_precision = true});
  engine.multiply({.a = half, .b = second, .c = product, .full_precision = true});
  const double before = squared_norm_of(engine, weight);
  engine.add_scaled(product, -1.0F, weight);
  const double change = squared_norm_of(engine, weight);
  engine.copy(product.data, weight.data, weight.rows * columns * sizeof(float));
  return MovedTarget{.damping = added, .change = before > 0 ? change / before : 0};
}

}  // namespace halftone::learn
