#pragma once

#include "learn/optimizer_run.hpp"
#include "learn/row_loops.cuh"

namespace halftone::cuda {

/// An element of a weight, and what an optimizer is told of it.
struct OptimizerElement {
  std::uint64_t row;
  std::uint64_t column;
  std::uint64_t at;
  float value;  ///< of its level, in units of the scale
  float scale;
  float gradient;  ///< by its code
};

/// Calls function(element) for every element of a run with the optimizer O: a block takes rows, its threads the columns.
/// After each row comes finish_row(row).  All threads of a block must call it.
template <class O, class Function, class FinishRow>
__device__ void for_optimizer_rows(const learn::OptimizerRun& run, const Function& function, const FinishRow& finish_row) {
  __shared__ float values[learn::Levels::kMost];
  for (unsigned i = threadIdx.x; i < learn::Levels::kMost; i += blockDim.x) values[i] = run.grid.levels->values[i];
  __syncthreads();
  const float inverse_loss = learn::inverse_loss(*run.state);
  for (std::uint64_t row = blockIdx.x; row < run.weight.rows; row += gridDim.x) {
    const float* scales = run.grid.scales + row * run.grid.groups;
    for (std::uint64_t column = threadIdx.x; column < run.weight.columns; column += blockDim.x) {
      const std::uint64_t at = row * run.weight.columns + column;
      const float scale = scales[run.grid.group_of[column]];
      const float gradient = learn::code_gradient<O>(run.rule, run.gradient.data[at] * inverse_loss, scale);
      function(OptimizerElement{row, column, at, values[run.levels[at]], scale, gradient});
    }
    finish_row(row);
  }
}

template <class O, class Function>
__device__ void for_optimizer_rows(const learn::OptimizerRun& run, const Function& function) {
  for_optimizer_rows<O>(run, function, [](std::uint64_t) {});
}

/// Stores the offset of an element, and the error that it makes.
template <class O>
__device__ void place(const learn::OptimizerRun& run, const OptimizerElement& e, float offset) {
  const float limited = learn::limited<O>(run.rule, e.value, offset);
  run.offsets[e.at] = limited;
  run.errors.data[e.at] = learn::error_at(e.value, limited, e.scale, run.weight.data[e.at]);
}

/// Blocks for a pass over the rows of a weight.
[[nodiscard]] inline unsigned blocks_for_rows(const learn::OptimizerRun& run, std::uint64_t most = kMostBlocks) {
  return static_cast<unsigned>(run.weight.rows < most ? run.weight.rows : most);
}

/// Prodigy's three passes.
void launch_prodigy_step(const learn::OptimizerRun& run, cudaStream_t stream);

}  // namespace halftone::cuda
