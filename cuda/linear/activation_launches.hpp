#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "ops/operation_table.hpp"

namespace halftone::cuda {

/// Inputs of a layer in BF16, rows × columns, row-major, on the device and aligned to 16 bytes.
struct Inputs {
  const std::uint16_t* x;
  std::uint64_t rows;
  std::uint64_t columns;
};

/// The scale of all inputs: `given`, or, where `measured` is not null, made from the bits of their largest magnitude there.
struct WholeScale {
  float given = 1.0F;
  const std::uint32_t* measured = nullptr;
};

/// FP8 codes with one scale, which is written to *scale.
void launch_fp8_tensor(const Inputs& inputs, const WholeScale& whole, std::uint8_t* codes, float* scale, cudaStream_t stream);

/// Codes with a scale for each row; *unused is raised to anything.
void launch_fp8_rows(const Inputs& inputs, std::uint8_t* codes, float* scales, std::uint32_t* unused, cudaStream_t stream);

/// INT8 codes of rows that are rotated first, in groups of `rotation_group` unless that is 0; `rotated` has room for them in F32.
/// `four_bits`: of codes within ±7.
void launch_int8_rows(const Inputs& inputs, std::uint32_t rotation_group, bool four_bits, float* rotated, std::uint8_t* codes,
                      float* scales, std::uint32_t* unused, cudaStream_t stream);

/// Whether inputs of this kind have a scale of the whole.
[[nodiscard]] bool has_whole_scale(ops::ActivationKind kind);

/// Whether launch_rounded() leaves away the scale of the inputs: where there is one for all of them, it is for the product.
[[nodiscard]] bool scales_products(ops::ActivationKind kind);

/// factor[0] = the scale that `whole` stands for, of FP8, times *others, which may be null; factor[1] = 0.
void launch_product_factor(const WholeScale& whole, const float* others, float* factor, cudaStream_t stream);

/// The values that inputs have as codes of `kind`, rounded to BF16; see scales_products().  `rotated`: the inputs in F32 after their
/// rotation, in place of `inputs.x`, or null.  `run`: elements of a row that share a scale, for kinds that leave it open.
void launch_rounded(ops::ActivationKind kind, const Inputs& inputs, const float* rotated, std::uint32_t run, const WholeScale& whole,
                    std::uint16_t* out, cudaStream_t stream);

}  // namespace halftone::cuda
