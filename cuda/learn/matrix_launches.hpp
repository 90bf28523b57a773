#pragma once

#include <cuda_runtime.h>

#include "learn/engine.hpp"

namespace halftone::cuda {

// The element-wise operations of learn::Engine, put into a stream.

void launch_convert(const learn::Matrix& in, float factor, const learn::Matrix& out, float added, cudaStream_t stream);
void launch_fill_signs(const learn::Matrix& out, std::uint64_t seed, cudaStream_t stream);
void launch_gather_columns(const learn::Matrix& in, const std::uint32_t* columns, const learn::Matrix& out, cudaStream_t stream);
/// `order` may be null.
void launch_gather_moments(const learn::Matrix& in, const std::uint32_t* order, float factor, float damping, const learn::Matrix& out,
                           cudaStream_t stream);
void launch_unit_upper(const learn::Matrix& lower, const learn::Matrix& out, cudaStream_t stream);
void launch_add_scaled(const learn::Matrix& a, float factor, const learn::Matrix& b, cudaStream_t stream);
void launch_add_to_diagonal(const learn::Matrix& a, float value, cudaStream_t stream);
void launch_transpose(const learn::Matrix& in, const learn::Matrix& out, cudaStream_t stream);
/// `sum`: scratch of one element.
void launch_add_ridge(const learn::Matrix& a, float ridge, double* sum, cudaStream_t stream);
/// Zeros above the diagonal.
void launch_clear_upper(const learn::Matrix& a, cudaStream_t stream);
void launch_row_norms(const learn::Matrix& a, float* out, cudaStream_t stream);

/// Blocks that add up parts of a sum, one binary64 number each; a fixed number, for the order of the sum.
inline constexpr unsigned kSumBlocks = 1024;
/// Scratch of a sum.
struct SumScratch {
  double* partial;         ///< kSumBlocks elements
  std::uint32_t* arrived;  ///< blocks that have added theirs; 0 between sums
};
void launch_inner(const learn::Matrix& a, const learn::Matrix& b, const SumScratch& scratch, double* sum, cudaStream_t stream);

void launch_round(const learn::Matrix& target, const learn::Matrix& shift, const learn::Matrix& weight, const learn::Grid& grid,
                  std::uint8_t* levels, const learn::Matrix& errors, cudaStream_t stream);
void launch_errors_of(const std::uint8_t* levels, const learn::Matrix& weight, const learn::Grid& grid, const learn::Matrix& errors,
                      cudaStream_t stream);
void launch_unpack(const learn::PackedCodes& codes, const learn::CodeTables& tables, std::uint8_t* levels, cudaStream_t stream);
/// changed: raised by the number of codes that are replaced.
void launch_pack(const std::uint8_t* levels, const learn::CodeTables& tables, const learn::PackedCodes& codes, unsigned long long* changed,
                 cudaStream_t stream);
void launch_scatter_levels(const std::uint8_t* in, std::uint64_t rows, std::uint64_t columns, const std::uint32_t* order, std::uint8_t* out,
                           cudaStream_t stream);
void launch_diagonal(const learn::Matrix& a, float* out, cudaStream_t stream);
void launch_feed_back(const learn::Panel& panel, cudaStream_t stream);
void launch_sweep(const learn::Panel& panel, cudaStream_t stream);

/// Scratch of a pass of flips.
struct FlipScratch {
  std::int64_t* bins;    ///< learn::kGainBins elements
  std::uint32_t* first;  ///< one
  SumScratch sum;
};
/// learn::Engine::flip(); the sum goes to *sum.
void launch_flip(const learn::Flips& flips, const learn::FlipLimit& limit, const FlipScratch& scratch, double* sum, cudaStream_t stream);

}  // namespace halftone::cuda
