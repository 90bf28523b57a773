#include "learn/moments.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "learn/squared_norm.hpp"

namespace halftone::learn {

double damping_for(std::uint64_t columns, std::optional<std::uint64_t> count) {
  if (!count) return 0.1;
  return std::clamp(1.2 * static_cast<double>(columns) / static_cast<double>(std::max<std::uint64_t>(*count, 1)), 0.03, 1.0);
}

double normaliser_of(MatrixEngine& engine, const Matrix& second) {
  std::vector<float> diagonal(second.rows);
  engine.diagonal(second, diagonal.data());
  const double sum =
      std::accumulate(diagonal.begin(), diagonal.end(), 0.0, [](double s, float value) { return s + static_cast<double>(value); });
  return sum > 0 ? static_cast<double>(diagonal.size()) / sum : 0;
}

bool is_semidefinite(MatrixEngine& engine, const Matrix& second, double normaliser, double damping) {
  // Rounding changes each element by at most this part of it, and so no eigenvalue by more than this part of the norm.
  constexpr double bf16_rounding = 0x1p-8;
  const double explained = bf16_rounding * normaliser * std::sqrt(squared_norm_of(engine, second));
  if (damping <= explained) return true;
  Memory scratch(engine);
  return engine.cholesky(damped(engine, scratch, second, normaliser, explained));
}

Matrix damped(MatrixEngine& engine, Memory& memory, const Matrix& moments, double normaliser, double damping) {
  const Matrix out = memory.matrix(moments.rows, moments.columns);
  engine.gather_moments(moments, nullptr, static_cast<float>(normaliser), static_cast<float>(damping), out);
  return out;
}

}  // namespace halftone::learn
