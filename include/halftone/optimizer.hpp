#pragma once

#include <cstdint>

namespace halftone {

/// The optimizers that convert_to_quant has for learned rounding.
enum class Optimizer : std::uint8_t {
#define HALFTONE_OPTIMIZER(name, type, summary) name,
#include <halftone/optimizer.def>
#undef HALFTONE_OPTIMIZER
};

/// How the learning rate follows the loss.
enum class LearningSchedule : std::uint8_t {
#define HALFTONE_SCHEDULE(name, summary) name,
#include <halftone/learning_schedule.def>
#undef HALFTONE_SCHEDULE
};

/// What becomes of the scales meanwhile.
enum class ScaleOptimization : std::uint8_t {
#define HALFTONE_SCALE_OPTIMIZATION(name, summary) name,
#include <halftone/scale_optimization.def>
#undef HALFTONE_SCALE_OPTIMIZATION
};

/// What an improvement has to exceed, if the threshold is not 0: a part of the best loss, or a difference from it.
enum class ThresholdMode : std::uint8_t { relative, absolute };

/// When to stop early.
struct StopRule {
  double loss = 5e-9;
  double rate = 1.01e-8;
  std::uint32_t stall = 2000;
  bool judges_best = true;     ///< compare the best loss instead of the present one
  bool strict = false;         ///< loss and rate must be below their bounds, not at them (December 2025)
  bool zero_disables = false;  ///< a bound of 0 switches its test off, and the stall ends at its bound, not behind it (NVFP4)
};

/// The defaults are those of convert_to_quant's command line of July 2026.
struct ScheduleOptions {
  LearningSchedule schedule = LearningSchedule::plateau;
  std::uint32_t iterations = 4000;
  double rate = 1.0;
  double gamma = 0.99;           ///< factor of `exponential`
  double factor = 0.95;          ///< of `plateau`, and the lower end of `cosine`
  double smallest_rate = 1e-8;   ///< of `exponential` and `plateau`
  std::uint32_t patience = 1;    ///< iterations without improvement before `plateau` slows down
  std::uint32_t cooldown = 0;    ///< iterations after that in which it does not; of `cosine`, the interval
  double shape_influence = 1.0;  ///< how much an oblong weight lowers the factor of `plateau`
  double threshold = 0.0;        ///< by how much a loss must be lower to count as an improvement
  ThresholdMode threshold_mode = ThresholdMode::relative;
  bool resets = true;         ///< an improvement sets the count of failures back
  std::uint32_t warm_up = 0;  ///< first iterations, in which `exponential` and `plateau` do not slow down
  StopRule stop;
};

/// The defaults of December 2025, with the schedule `adaptive`.
[[nodiscard]] constexpr ScheduleOptions december_2025_schedule() {
  ScheduleOptions options;
  options.schedule = LearningSchedule::adaptive;
  options.iterations = 1000;
  options.rate = 8.0773e-3;
  options.factor = 0.92;
  options.smallest_rate = 1e-10;
  options.patience = 9;
  options.cooldown = 6;
  options.stop = {.loss = 1e-8, .rate = 1e-10, .stall = 1000, .judges_best = false, .strict = true};
  return options;
}

/// What an optimizer may be told; only those listen that have variants.
struct OptimizerVariant {
  bool speed = false;          ///< estimate the step size from the progress along the path instead of the gradients' sums
  bool schedule_free = false;  ///< average iterates in place of a first moment
};

/// Whether `optimizer` listens to an OptimizerVariant.
[[nodiscard]] bool has_variants(Optimizer optimizer);

/// Learned rounding as convert_to_quant has it.
struct OptimizerSettings {
  Optimizer optimizer = Optimizer::prodigy;
  OptimizerVariant variant;
  ScheduleOptions schedule;
  ScaleOptimization scales = ScaleOptimization::fixed;
  std::uint32_t scale_rounds = 4;  ///< iterative: how often scales move; not 0
  bool full_loss = false;          ///< minimise ‖E‖, which leaves the weights as they are, instead of ‖Uᵀ E V‖
};

}  // namespace halftone
