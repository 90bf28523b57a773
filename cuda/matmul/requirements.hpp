#pragma once

#include "matmul/operands.hpp"
#include "matmul/quantize_activations.hpp"

namespace halftone::cuda::matmul {

// What the launch functions of this folder demand.  Each throws unsupported where it does not hold.

/// Of a product of codes, whose rows may have `longest_row` elements.
void check_product(const MatmulShape& shape, const void* x, const void* w, std::uint64_t longest_row);

void check_activations(const Activations& activations);

}  // namespace halftone::cuda::matmul
