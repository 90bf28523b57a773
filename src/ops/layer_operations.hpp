#pragma once

#include <string>
#include <vector>

#include <halftone/linear.hpp>

#include "formats/stored_matrix.hpp"

namespace halftone::ops {

// The operations of the table that follow from a format's Storage.  halftone/linear.hpp says what they do and throw.

[[nodiscard]] LinearLayer quantize_layer(const Backend& backend, const QuantSpec& spec, const MatrixView& weight);
[[nodiscard]] std::vector<float> dequantize_layer(const Backend& backend, const LinearLayer& layer);
[[nodiscard]] std::vector<PlainTensor> plain_tensors_of(const LinearLayer& layer, const std::string& weight);
[[nodiscard]] LinearLayer transpose_layer(const LinearLayer& layer);

/// The weight of `layer`, which must outlive it and have no scales of columns, for reading row by row.  `rotated`: as it was
/// quantized, not turned back.  Throws bad_quantization where the tensors have other sizes than the shape asks for.
[[nodiscard]] formats::StoredMatrix matrix_of(const LinearLayer& layer, bool rotated = false);

}  // namespace halftone::ops
