#pragma once

#include <cstdint>

#include "learn/engine.hpp"
#include "learn/optimizer.hpp"
#include "learn/schedule.hpp"

namespace halftone::learn {

/// What `original` takes for the gradient by a code, from the gradient by the value that the code stands for.
enum class Preconditioner : std::uint8_t {
  inverse_scale,  ///< divides by the scale, so that the value moves along the gradient
  constant,       ///< multiplies with one number for the whole weight
  none,           ///< takes it as it is
  scale,          ///< multiplies by the scale: the chain rule
};

struct GradientRule {
  Preconditioner preconditioner = Preconditioner::inverse_scale;
  float constant = 1.0F;
  float limit = 0.0F;  ///< `original` keeps codes within ± this after each step; 0 for no limit
};

/// A loop over the codes of a layer, as real numbers: level value + offset, in units of the scale.  The matrices have
/// no gaps, and all pointers are into the memory of an engine.
struct OptimizerRun {
  Optimizer optimizer{};
  OptimizerVariant variant;
  Schedule schedule;
  GradientRule rule;

  Matrix weight;
  const std::uint8_t* levels = nullptr;
  Grid grid;
  const float* first_errors = nullptr;  ///< of `levels`
  Matrix gradient;                      ///< of half the squared loss by the values; may be `errors`
  Matrix errors;                        ///< of the present iterate
  float* offsets[2] = {};               ///< of the present iterate and of the best one, by the slots of the state
  float* average = nullptr;             ///< schedule-free: of the best iterate, which stands in for its offsets
  float* moments[2] = {};               ///< as many as the optimizer has
  float* row_moments = nullptr;         ///< prodigy
  float* column_moments = nullptr;      ///< prodigy
  float* decayed_sums = nullptr;        ///< prodigy: one for each sampled element
  float* sampled = nullptr;             ///< prodigy: the variable at each sampled element, as the last step left it
  double* scratch = nullptr;            ///< of devices: scratch_elements(), zeros at the start
  bool is_observed = false;             ///< somebody needs the offsets of the present iterate between iterations
  LoopState* state = nullptr;
  void* scalars = nullptr;  ///< the optimizer's Scalars
};

/// The offsets that the next iterate goes to.
[[nodiscard]] HALFTONE_HD float* next_offsets(const OptimizerRun& run) {
  return run.offsets[run.state->improved ? 1 - run.state->slot : run.state->slot];
}

/// Parts that a device adds up side by side: of a sum over the weight; rows and columns of a part of their own sums.
inline constexpr std::uint64_t kSumParts = 1024;
/// Sums that a step of Prodigy needs: of the squared updates, and Prodigy::Sums.
inline constexpr std::uint64_t kSumsOfStep = 1 + sizeof(Prodigy::Sums) / sizeof(double);
inline constexpr std::uint64_t kTileRows = 32;
inline constexpr std::uint64_t kSmallestTileColumns = 256;
inline constexpr std::uint64_t kRowsOfSum = 256;
/// Iterations whose roots of second moments a device keeps.
inline constexpr std::uint64_t kRootTurns = 3;

/// Parts of the sum of the moments of rows; a multiple of 4, so that what lies behind them is aligned.
[[nodiscard]] HALFTONE_HD constexpr std::uint64_t row_sum_parts(std::uint64_t rows) {
  return (rows + 4 * kRowsOfSum - 1) / (4 * kRowsOfSum) * 4;
}

/// What `scratch` must hold.
[[nodiscard]] constexpr std::uint64_t scratch_elements(std::uint64_t rows, std::uint64_t columns) {
  constexpr std::uint64_t others = 8;
  const std::uint64_t by_columns = (rows + kTileRows - 1) / kTileRows * columns;
  const std::uint64_t by_rows = (columns + kSmallestTileColumns - 1) / kSmallestTileColumns * rows;
  return others + kSumsOfStep * kSumParts + row_sum_parts(rows) + (kRootTurns * (rows + columns) + by_columns + by_rows) / 2 +
         1;  // the last ones are binary32
}

/// The gradient by the code of an element with `scale`, from that by its value.
template <class O>
[[nodiscard]] HALFTONE_HD float code_gradient(const GradientRule& rule, float value_gradient, float scale) {
  if (!(scale > 0.0F)) return 0.0F;
  if constexpr (O::kPreconditioned) {
    switch (rule.preconditioner) {
      case Preconditioner::inverse_scale: return value_gradient / scale;
      case Preconditioner::constant: return value_gradient * rule.constant;
      case Preconditioner::none: return value_gradient;
      case Preconditioner::scale: break;
    }
  }
  return value_gradient * scale;
}

/// An offset that keeps its code within the limit.
template <class O>
[[nodiscard]] HALFTONE_HD float limited(const GradientRule& rule, float value, float offset) {
  if (!O::kPreconditioned || rule.limit == 0.0F) return offset;
  const float code = value + offset;
  if (code > rule.limit) return rule.limit - value;
  return code < -rule.limit ? -rule.limit - value : offset;
}

[[nodiscard]] HALFTONE_HD float error_at(float first_error, float offset, float scale) { return first_error + offset * scale; }

/// What the gradient of half the squared loss is multiplied with to be that of the loss.
[[nodiscard]] HALFTONE_HD float inverse_loss(const LoopState& state) {
  constexpr double smallest = 1e-20;
  return static_cast<float>(1.0 / (state.loss > smallest ? state.loss : smallest));
}

}  // namespace halftone::learn
