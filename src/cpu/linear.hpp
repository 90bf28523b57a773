#pragma once

#include <memory>
#include <span>

#include <halftone/linear.hpp>

namespace halftone::cpu {

/// The layer on the processor.  `backend` must outlive it; it keeps a copy of the layer.
[[nodiscard]] std::unique_ptr<Linear> make_linear(const Backend& backend, LinearLayer layer, Activations activations, unsigned threads);

/// A weight that is not quantized, rows × columns.
[[nodiscard]] std::unique_ptr<Linear> make_dense(const Backend& backend, const MatrixView& weight, std::span<const float> bias,
                                                 unsigned threads);

/// Rounds `x`, rows of the inputs of `layer` after any rotation, to what its kind of activations can hold, in place.
void round_activations(const LinearLayer& layer, Activations activations, float* x, std::uint64_t rows);

}  // namespace halftone::cpu
