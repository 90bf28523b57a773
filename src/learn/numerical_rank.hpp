#pragma once

#include <cstdint>

#include "learn/matrix_engine.hpp"

namespace halftone::learn {

/// Singular values of a rows × columns matrix up to this part of the largest are taken for rounding: 8 · 2^-23 · √(rows +
/// columns).  That rounding grows with this root is from Press et al., "Numerical recipes" (3rd edition, 2.6), whose factor
/// is ½; here the weight may be a rounded product itself, and products of binary32 follow.  The older rule, max(rows,
/// columns) · 2^-23 (Golub and Van Loan; MATLAB, numpy), takes true directions of tall weights for rounding.
///
/// It is that of binary32 on every engine, whatever a basis is searched with: ranks are the same everywhere.
[[nodiscard]] double rank_tolerance(std::uint64_t rows, std::uint64_t columns);

/// How many singular values the weight has that are not rounding, at least 1, as far as the columns of `left` tell: they
/// are orthonormal, and their space holds nearly all of the weight, which is of a usual size and not zero.
[[nodiscard]] std::uint64_t numerical_rank(MatrixEngine& engine, const Matrix& weight, const Matrix& left);

}  // namespace halftone::learn
