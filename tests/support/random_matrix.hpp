#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <halftone/backend.hpp>

namespace halftone::test {

/// Normal values, rows × columns, in `dtype`; `values` are what they stand for.
struct RandomMatrix {
  RandomMatrix(const Backend& backend, std::uint64_t n_rows, std::uint64_t n_columns, Dtype type, std::uint32_t seed, float scale = 1.0F)
      : rows(n_rows), columns(n_columns), dtype(type), values(rows * columns), bytes(values.size() * bits_of(type) / 8) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, scale);
    for (float& value : values) value = normal(random);
    if (values.empty()) return;
    backend.from_float(values.data(), values.size(), dtype, bytes.data());
    backend.to_float(dtype, bytes.data(), values.size(), values.data());
  }
  [[nodiscard]] MatrixView view() const { return {bytes.data(), dtype, rows, columns}; }

  std::uint64_t rows;
  std::uint64_t columns;
  Dtype dtype;
  std::vector<float> values;
  std::vector<std::byte> bytes;
};

/// x · weightᵀ + bias in binary64; and what rounding errors are measured by: Σ |x| |weight|, and the root of Σ (x weight)².
struct ExactProduct {
  ExactProduct(const std::vector<float>& x, const std::vector<float>& weight, std::uint64_t columns, const std::vector<float>& bias = {}) {
    const std::uint64_t n = x.size() / columns;
    const std::uint64_t outputs = weight.size() / columns;
    for (std::uint64_t row = 0; row < n; ++row) {
      for (std::uint64_t out = 0; out < outputs; ++out) {
        double sum = bias.empty() ? 0.0 : static_cast<double>(bias[out]);
        double magnitude = std::abs(sum);
        double square = sum * sum;
        for (std::uint64_t i = 0; i < columns; ++i) {
          const double product = static_cast<double>(x[row * columns + i]) * static_cast<double>(weight[out * columns + i]);
          sum += product;
          magnitude += std::abs(product);
          square += product * product;
        }
        y.push_back(sum);
        magnitudes.push_back(magnitude);
        roots.push_back(std::sqrt(square));
      }
    }
  }

  std::vector<double> y;
  std::vector<double> magnitudes;
  std::vector<double> roots;
};

}  // namespace halftone::test
