#include "learn/move_target.hpp"

namespace halftone::learn {

bool move_target(MatrixEngine& engine, const Matrix& weight, const Moments& moments, std::optional<double> damping) {
  const std::uint64_t columns = weight.columns;
  const double normaliser = normaliser_of(engine, moments.second);
  if (normaliser == 0) return true;
  const double added = damping.value_or(damping_for(columns, moments.count));
  Memory memory(engine);
  const Matrix second = damped(engine, memory, moments.second, normaliser, added);
  const Matrix cross = damped(engine, memory, moments.cross, normaliser, added);
  if (!engine.cholesky(second)) return true;
  engine.invert_lower(second);
  // (H + λ I)⁻¹ = L⁻ᵀ L⁻¹.
  const Matrix product = memory.matrix(weight.rows, columns);
  const Matrix half = memory.matrix(weight.rows, columns);
  engine.multiply({.a = weight, .b = cross, .c = product, .full_precision = true});
  engine.multiply({.a = product, .b = second, .transpose_b = true, .c = half, .full_precision = true});
  engine.multiply({.a = half, .b = second, .c = product, .full_precision = true});
  const double before = engine.squared_norm(weight);
  engine.add_scaled(product, -1.0F, weight);
  const double change = engine.squared_norm(weight);
  engine.copy(product.data, weight.data, weight.rows * columns * sizeof(float));
  return change <= before;
}

}  // namespace halftone::learn
