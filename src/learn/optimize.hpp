#pragma once

#include <functional>
#include <string_view>

#include "learn/basis.hpp"
#include "learn/optimizer_run.hpp"
#include "learn/problem.hpp"
#include "learn/stored_scales.hpp"

namespace halftone::learn {

struct OptimizeOptions {
  OptimizerSettings settings;      ///< its schedule with the reference's peculiarities of a format, set by conventions()
  GradientRule rule;               ///< of `original`; the same
  bool full_precision = true;      ///< products as those of the reference; else their factors may lose bits below TF32's
  StoredScales* scales = nullptr;  ///< those of the layer, where they move too; become those of the codes that are found
  double scale_budget = 0.05;      ///< iterative: by what part the squared error may grow over that of rounding to nearest
  std::function<void()> check;     ///< called now and then; what it throws ends the loop
};

/// `options` for `format` as convert_to_quant of July 2026 has them: how `original` preconditions the gradient, whether
/// early stopping looks at the best loss, how it counts, when Prodigy warms up, and where the shape of a weight counts.
/// `largest_scale` is that of the layer.
[[nodiscard]] OptimizeOptions conventions(OptimizeOptions options, const FormatDescriptor& format, float largest_scale);

[[nodiscard]] float largest_scale(Engine& engine, const Layer& layer);

struct OptimizeResult {
  Outcome outcome;  ///< after the codes were rounded
  LoopState state;  ///< of the loop over codes that are real numbers
};

/// Minimises ‖Uᵀ E V‖, or ‖E‖ without a basis, over codes that are real numbers, from those of `layer` on, then rounds
/// the best ones found to `levels`: convert_to_quant's learned rounding.  What it keeps as the best iterate is the one whose loss was
/// the best.  (With AdamW, RAdam and Prodigy the reference keeps the one after it.)
[[nodiscard]] OptimizeResult optimize(Engine& engine, const Layer& layer, const Basis* basis, const OptimizeOptions& options,
                                      std::uint8_t* levels);

/// "no improvement for too long".
[[nodiscard]] std::string_view description(StopReason reason) noexcept;

}  // namespace halftone::learn
