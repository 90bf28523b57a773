#pragma once

#include <functional>
#include <vector>

#include "learn/memory.hpp"
#include "learn/optimizer_run.hpp"
#include "learn/problem.hpp"
#include "learn/stored_scales.hpp"

namespace halftone::learn {

/// A loss, and the gradient of half its square by the values of the elements.
struct Slope {
  double loss = 0;
  Matrix gradient;
};

/// The scales of a loop over codes, which move between iterations.  They are always ones that can be stored, and those of
/// the best iterate are kept with it: what is stored is what was optimised.
class MovingScales {
 public:
  /// What scales move by.
  struct Measure {
    Matrix errors;                 ///< room for them
    std::function<Slope()> slope;  ///< of these errors
    double most_error = 0;         ///< iterative: what the squared error may grow to
  };

  /// Lets `run` use scales and first errors of its own.  `scales`: where they begin; they end as those of the codes that
  /// finish() gives.
  MovingScales(Engine& engine, const Layer& layer, const OptimizerSettings& settings, Measure measure, StoredScales& scales,
               OptimizerRun& run);

  /// To be called between iterations, with the state of the loop.  Keeps the scales of an iterate that is the best, and moves
  /// them where it is time to; then the measured errors are those of the present iterate with the new scales, and the result is true.
  [[nodiscard]] bool look(const LoopState& state);
  /// Rounds the best iterate to `levels`, with scales and errors that belong to them.
  void finish(const float* best, std::uint8_t* levels);

 private:
  [[nodiscard]] bool is_joint() const { return settings_.scales == ScaleOptimization::joint; }
  void fit(std::uint8_t* levels);
  void follow(const Slope& slope, const std::uint8_t* levels, const float* offsets);
  void gather(const std::uint8_t* levels, const float* offsets, const Matrix& a);
  void use(const StoredScales& scales);

  Engine& engine_;
  const Layer& layer_;
  const OptimizerSettings& settings_;
  Measure measure_;
  StoredScales& best_;
  OptimizerRun& run_;
  Memory memory_;
  StoredScales now_;
  std::vector<std::uint32_t> index_of_;  ///< of the scale of a group of the grid
  std::vector<double> wanted_;           ///< where scales are on their way, before they are stored
  std::uint64_t width_;                  ///< columns of a group of the grid
  std::uint64_t on_grid_;                ///< rows × groups
  float* values_;                        ///< of the grid
  Matrix first_errors_;
  std::uint8_t* rounded_;
  float* dots_;
  float* squares_;
  std::vector<double> dots_of_;  ///< of each scale
  std::vector<double> squares_of_;
  std::uint32_t seen_ = 0;  ///< iterations
  std::uint32_t fits_ = 0;
};

}  // namespace halftone::learn
