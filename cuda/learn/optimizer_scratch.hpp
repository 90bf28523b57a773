#pragma once

#include "learn/optimizer_run.hpp"

namespace halftone::cuda {

/// What lies in a run's scratch memory (learn::scratch_elements()).
struct OptimizerScratch {
  HALFTONE_HD explicit OptimizerScratch(const learn::OptimizerRun& run) {
    using learn::kSumParts;
    double* next = run.scratch;
    tickets = reinterpret_cast<unsigned*>(next);
    clip = next + 4;
    next += 8;
    parts = next;
    next += kSumParts;
    sums = reinterpret_cast<learn::Prodigy::Sums*>(next);
    next += kSumParts * sizeof(learn::Prodigy::Sums) / sizeof(double);
    row_sums = next;
    next += learn::row_sum_parts(run.weight.rows);
    column_squares = reinterpret_cast<float*>(next);
    column_roots = column_squares + (run.weight.rows + learn::kTileRows - 1) / learn::kTileRows * run.weight.columns;
    row_roots = column_roots + run.weight.columns;
    row_squares = row_roots + run.weight.rows;
  }

  unsigned* tickets;           ///< one for each kernel that counts its blocks
  double* clip;                ///< prodigy: what updates are multiplied with
  double* parts;               ///< kSumParts: of the squared loss; later, of the squared updates
  learn::Prodigy::Sums* sums;  ///< kSumParts
  double* row_sums;            ///< prodigy: of the moments of kRowsOfSum rows each
  float* column_squares;       ///< tiles of rows × columns
  float* column_roots;         ///< prodigy: of the second moments
  float* row_roots;
  float* row_squares;  ///< rows × tiles of columns
};

}  // namespace halftone::cuda
