#pragma once

#include "learn/matrix_engine.hpp"

namespace halftone::learn {

enum class SplitMethod : std::uint8_t {
  eigenvectors,  ///< exact
  sign,          ///< of the matrix less a number between its eigenvalues: products only; directions at the border are mixed
};

/// Sets the columns of `out`, rows(s) × k and zero so far, to a basis of the space of the k largest eigenvalues of the positive
/// semidefinite `s`: orthonormal ones by eigenvectors, well-conditioned ones by the sign.  Leaves in `s` what it likes.
void leading_part(MatrixEngine& engine, const Matrix& s, SplitMethod method, const Matrix& out);

}  // namespace halftone::learn
