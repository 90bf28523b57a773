#pragma once

#include <span>

#include <halftone/backend.hpp>

namespace halftone::cpu {

/// Backend::add_squared_errors() from the values that `cpu` gives.
void add_row_errors(const Backend& cpu, const QuantSpec& spec, const MatrixView& band, std::span<const float> tensor_amaxes, float unit,
                    std::span<ErrorSum> sums);

}  // namespace halftone::cpu
