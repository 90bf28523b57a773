#pragma once

#include <atomic>
#include <vector>

#include "eval/float_reader.hpp"
#include "eval/layer_inputs.hpp"

namespace halftone::eval {

/// x · weightᵀ + bias with products and sums in binary64, in one order, rounded once to binary32: what the outputs of a
/// layer are measured against.  A row of outputs for each input; `bias` may be empty.
[[nodiscard]] std::vector<float> reference_product(const FloatModel& model, const ModelTensor& weight, const LayerInputs& x,
                                                   const std::vector<float>& bias, const std::atomic<bool>& stop);

}  // namespace halftone::eval
