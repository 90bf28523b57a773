#pragma once

#include "learn/optimizer_run.hpp"

namespace halftone::cuda {

/// What is known of a step whose moves are made later.
struct LaggedStep {
  double factor;          ///< what updates are multiplied with
  float epsilon;          ///< beside the roots of second moments
  float gradient_factor;  ///< of the gradient in the first moment
};

/// Where a lagged run is.
struct Lag {
  LaggedStep last;
  LaggedStep former;      ///< the one before it
  std::uint32_t slot;     ///< of the offsets of the last even iteration
  std::uint32_t flushed;  ///< 1: the moves before the loop stopped have been made
};
static_assert(sizeof(Lag) == 5 * sizeof(double));

/// What lies in a run's scratch memory (learn::scratch_elements()).
struct OptimizerScratch {
  HALFTONE_HD explicit OptimizerScratch(const learn::OptimizerRun& run) {
    using learn::kSumParts;
    double* next = run.scratch;
    tickets = reinterpret_cast<unsigned*>(next);
    clip = next + 2;
    lag = reinterpret_cast<Lag*>(next + 3);
    next += 8;
    parts = next;
    next += learn::kSumsOfStep * kSumParts;
    row_sums = next;
    next += learn::row_sum_parts(run.weight.rows);
    column_squares = reinterpret_cast<float*>(next);
    column_roots = column_squares + (run.weight.rows + learn::kTileRows - 1) / learn::kTileRows * run.weight.columns;
    row_roots = column_roots + learn::kRootTurns * run.weight.columns;
    row_squares = row_roots + learn::kRootTurns * run.weight.rows;
  }

  unsigned* tickets;  ///< one for each kernel that counts its blocks
  double* clip;       ///< prodigy: what updates are multiplied with
  Lag* lag;
  double* parts;          ///< of the squared loss; later, of the squared updates and of Prodigy::Sums, kSumParts of each
  double* row_sums;       ///< prodigy: of the moments of kRowsOfSum rows each
  float* column_squares;  ///< tiles of rows × columns
  float* column_roots;    ///< prodigy: of the second moments; of a lagged run, of kRootTurns iterations by turns
  float* row_roots;
  float* row_squares;  ///< rows × tiles of columns
};

}  // namespace halftone::cuda
