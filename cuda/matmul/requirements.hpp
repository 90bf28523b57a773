#pragma once

#include "matmul/operands.hpp"
#include "matmul/quantize_activations.hpp"

namespace halftone::cuda {

/// Whether the products of this folder run on the current device: it has compute capability 9.0, and the build has code for it.
[[nodiscard]] bool has_hopper_products();

// What the launch functions of this folder demand.  Each throws unsupported where it does not hold.

/// That the products run on the current device.
void require_hopper_products();

/// Of a product of codes, besides that: `longest_row` elements that its rows may have.
void check_product(const MatmulShape& shape, const void* x, const void* w, std::uint64_t longest_row);

void check_activations(const Activations& activations);

}  // namespace halftone::cuda
