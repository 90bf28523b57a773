#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "learn/engine.hpp"
#include "learn/levels.hpp"
#include "learn/memory.hpp"

namespace halftone::learn {

/// A weight, and where its elements may go, in the memory of the host.
struct Problem {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  const float* weight = nullptr;  ///< rows × columns
  Levels levels{};
  std::vector<float> scales;            ///< rows × groups
  std::uint64_t groups = 1;             ///< scales of a row
  std::vector<std::uint32_t> group_of;  ///< columns: which of them
  std::vector<std::uint8_t> start;      ///< rows × columns: the levels of rounding to nearest
};

/// A layer's problem in the memory of an engine.
class Layer {
 public:
  Layer(Engine& engine, const Problem& problem)
      : memory_(engine),
        weight_(memory_.matrix_of(problem.weight, problem.rows, problem.columns)),
        errors_(memory_.matrix(problem.rows, problem.columns)),
        levels_(memory_.array_of(problem.start.data(), problem.start.size())),
        grid_{memory_.array_of(&problem.levels, 1), memory_.array_of(problem.scales.data(), problem.scales.size()), problem.groups,
              memory_.array_of(problem.group_of.data(), problem.group_of.size())} {
    engine.errors_of(levels_, weight_, grid_, errors_);
  }

  [[nodiscard]] std::uint64_t rows() const noexcept { return weight_.rows; }
  [[nodiscard]] std::uint64_t columns() const noexcept { return weight_.columns; }
  [[nodiscard]] std::uint64_t elements() const noexcept { return weight_.rows * weight_.columns; }
  [[nodiscard]] const Matrix& weight() const noexcept { return weight_; }
  [[nodiscard]] const Matrix& errors() const noexcept { return errors_; }  ///< of levels()
  [[nodiscard]] std::uint8_t* levels() const noexcept { return levels_; }
  [[nodiscard]] const Grid& grid() const noexcept { return grid_; }

 private:
  Memory memory_;
  Matrix weight_;
  Matrix errors_;
  std::uint8_t* levels_;
  Grid grid_;
};

/// What a solver did to a layer, by its own measure and by the others.
struct Outcome {
  double loss = 0;           ///< ‖Uᵀ E V‖, where the method has a basis
  double nearest_loss = 0;   ///< the same of rounding to nearest
  double squared_error = 0;  ///< ‖E‖²
  double nearest_squared_error = 0;
  double output_error = 0;  ///< tr(E H Eᵀ), where the method has second moments
  double nearest_output_error = 0;
  std::uint64_t rank = 0;      ///< columns of the basis; 0 without
  double captured_energy = 0;  ///< the part of ‖W‖² that the basis holds
  double basis_residual = 0;   ///< how far the basis is from being invariant: 0 is exact
  double damping = 0;          ///< what was added to the normalised second moments' diagonal
  int iterations = 0;
  std::string stop_reason;  ///< why it ended there; empty where that was foreseen
};

}  // namespace halftone::learn
