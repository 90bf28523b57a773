#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "learn/feedback.hpp"

namespace halftone::learn {

/// What is asked of a low-rank correction.
struct LoraOptions {
  std::uint64_t rank = 0;            ///< more than the smaller dimension is that
  std::optional<double> damping;     ///< of second moments; nothing: by their count
  std::uint64_t seed = 0;            ///< of the subspace in which directions are looked for
  std::uint32_t rotation_group = 0;  ///< of the weight that the errors are of; the correction is of the one before that
};

/// A correction up · down of a quantized weight, in the memory of the host, row-major.
struct LoraFit {
  std::uint64_t rank = 0;
  std::uint64_t directions = 0;    ///< of `rank`, the others being zeros: fewer where the error has not so many
  std::vector<float> up;           ///< rows × rank: left singular vectors times singular values, the largest first
  std::vector<float> down;         ///< rank × columns: right singular vectors; with second moments, times L⁻¹
  std::optional<double> captured;  ///< the part of the error that it takes off; nothing where there is none
  bool by_output = false;          ///< the error is tr(E H Eᵀ), else ‖E‖²
};

/// The correction of `rank` that leaves the least of weight - value, where `errors` are value - weight: by ‖E‖²; where
/// there are second moments that have a factor H + λ = L Lᵀ, by ‖E L‖², the error of the layer's outputs.
///
/// An error of fewer directions gets a correction of them all, filled up with zeros.
///
/// The best factors for a given left basis U are U · (Uᵀ E), whatever the measure: L only decides U.
[[nodiscard]] LoraFit fit_lora(Engine& engine, const Matrix& errors, const Moments& moments, const LoraOptions& options);

/// A correction of nothing, for a weight that has no error.
[[nodiscard]] LoraFit no_lora(std::uint64_t rows, std::uint64_t columns, std::uint64_t rank);

}  // namespace halftone::learn
