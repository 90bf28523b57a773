#include "learn/lora.hpp"

#include <algorithm>
#include <cmath>

#include "learn/basis.hpp"
#include "learn/effort.hpp"

namespace halftone::learn {
namespace {

/// ‖E L‖² and the like, with what the damping has added taken off again.
struct Measure {
  double damping = 0;

  [[nodiscard]] double of(double seen, double squared) const { return seen - damping * squared; }
};

/// E L = E (H + λ) L⁻ᵀ, in `memory`; null where the moments are zero or have no factor.
Matrix seen_by_outputs(Engine& engine, Memory& memory, const Matrix& errors, const Matrix& second, double damping) {
  const double normaliser = normaliser_of(engine, second);
  if (normaliser == 0 || !is_semidefinite(engine, second, normaliser, damping)) return {};
  Memory scratch(engine);
  const Matrix factor = damped(engine, scratch, second, normaliser, damping);
  const Matrix product = scratch.matrix(errors.rows, errors.columns);
  engine.multiply({.a = errors, .b = factor, .c = product, .full_precision = true});
  if (!engine.cholesky(factor)) return {};
  engine.invert_lower(factor);
  const Matrix seen = memory.matrix(errors.rows, errors.columns);
  engine.multiply({.a = product, .b = factor, .transpose_b = true, .c = seen, .full_precision = true});
  return seen;
}

/// The left singular vectors of `seen` in the space of `basis`, as columns, those of the smallest singular values first.
Matrix singular_vectors(Engine& engine, Memory& memory, const Matrix& seen, const Matrix& basis) {
  const Matrix inside = memory.matrix(basis.columns, seen.columns);
  const Matrix gram = memory.matrix(basis.columns, basis.columns);
  engine.multiply({.a = basis, .transpose_a = true, .b = seen, .c = inside, .full_precision = true});
  engine.multiply({.a = inside, .b = inside, .transpose_b = true, .c = gram, .full_precision = true});
  engine.eigenvectors(gram);
  const Matrix vectors = memory.matrix(basis.rows, basis.columns);
  engine.multiply({.a = basis, .b = gram, .transpose_b = true, .c = vectors, .full_precision = true});
  return vectors;
}

/// leftᵀ · a.
Matrix projected(Engine& engine, Memory& memory, const Matrix& left, const Matrix& a) {
  const Matrix inside = memory.matrix(left.columns, a.columns);
  engine.multiply({.a = left, .transpose_a = true, .b = a, .c = inside, .full_precision = true});
  return inside;
}

/// ‖a - left · inside‖².
double norm_of_rest(Engine& engine, const Matrix& a, const Matrix& left, const Matrix& inside) {
  Memory scratch(engine);
  const Matrix rest = scratch.matrix(a.rows, a.columns);
  engine.copy(a.data, rest.data, a.rows * a.columns * sizeof(float));
  engine.multiply({.a = left, .b = inside, .alpha = -1.0F, .beta = 1.0F, .c = rest, .full_precision = true});
  return engine.squared_norm(rest);
}

std::vector<float> downloaded(Engine& engine, const Matrix& a) {
  std::vector<float> values(a.rows * a.columns);
  engine.download(a.data, values.data(), values.size() * sizeof(float));
  return values;
}

std::vector<float> row_lengths(Engine& engine, const Matrix& a) {
  Memory scratch(engine);
  auto* norms = scratch.array<float>(a.rows);
  engine.row_norms(a, norms);
  std::vector<float> lengths(a.rows);
  engine.download(norms, lengths.data(), lengths.size() * sizeof(float));
  for (float& length : lengths) length = std::sqrt(length);
  return lengths;
}

/// Sets the factors of `fit`: the singular values go to the left one.  `inside` is of value - weight, so that the sign
/// turns here.
void set_factors(LoraFit& fit, const std::vector<float>& vectors, const std::vector<float>& inside, const std::vector<float>& values) {
  const std::size_t rank = fit.rank;
  const std::size_t rows = fit.up.size() / rank;
  const std::size_t columns = fit.down.size() / rank;
  const std::size_t found = fit.directions;
  for (std::size_t k = 0; k < found; ++k) {
    const std::size_t from = found - 1 - k;
    const float value = values[from];
    if (!(value > 0.0F)) continue;
    for (std::size_t row = 0; row < rows; ++row) fit.up[row * rank + k] = vectors[row * found + from] * value;
    for (std::size_t column = 0; column < columns; ++column) {
      fit.down[k * columns + column] = -inside[from * columns + column] / value;
    }
  }
}

}  // namespace

LoraFit no_lora(std::uint64_t rows, std::uint64_t columns, std::uint64_t rank) {
  const std::uint64_t used = std::min({rank, rows, columns});
  return {.rank = used, .up = std::vector<float>(rows * used), .down = std::vector<float>(used * columns)};
}

LoraFit fit_lora(Engine& engine, const Matrix& given, const Moments& moments, const LoraOptions& options) {
  LoraFit fit = no_lora(given.rows, given.columns, options.rank);
  Memory resized(engine);
  const auto [errors, factor] = of_usual_size(engine, resized, given);
  const double squared = engine.squared_norm(errors);
  if (!(squared > 0)) return fit;
  Memory memory(engine);
  Measure measure;
  Matrix seen;
  if (moments.second.data != nullptr) {
    measure.damping = options.damping.value_or(damping_for(errors.columns, moments.count));
    seen = seen_by_outputs(engine, memory, errors, moments.second, measure.damping);
  }
  fit.by_output = seen.data != nullptr;
  if (!fit.by_output) seen = errors;
  const Basis basis = leading_basis(engine, memory, seen, fit.rank, BasisMethod::automatic, kLoraPowerIterations, options.seed);
  fit.directions = basis.rank;
  const Matrix left = singular_vectors(engine, memory, seen, basis.left.columns_at(0, basis.rank));
  const Matrix inside_seen = projected(engine, memory, left, seen);
  const Matrix inside = fit.by_output ? projected(engine, memory, left, errors) : inside_seen;
  double total = squared;
  double rest = norm_of_rest(engine, errors, left, inside);
  if (fit.by_output) {
    total = measure.of(engine.squared_norm(seen), squared);
    rest = measure.of(norm_of_rest(engine, seen, left, inside_seen), rest);
  }
  if (total > 0) fit.captured = 1.0 - rest / total;
  const std::vector<float> values = row_lengths(engine, inside_seen);
  if (options.rotation_group != 0) engine.rotate(inside.data, fit.directions * errors.columns, options.rotation_group);
  set_factors(fit, downloaded(engine, left), downloaded(engine, inside), values);
  for (float& value : fit.up) value /= factor;
  return fit;
}

}  // namespace halftone::learn
