#pragma once

#include "learn/matrix_engine.hpp"

namespace halftone::learn {

enum class SplitMethod : std::uint8_t {
  eigenvectors,  ///< exact
  sign,          ///< of the matrix less a number between its eigenvalues: products only; directions at the border are mixed
};

/// Sets the columns of `out`, rows(s) × k, to a basis of the space of the k largest eigenvalues of the
/// positive semidefinite `s`.  Returns whether by eigenvectors, which are orthonormal and exact; where the sign cannot tell
/// the eigenvalues apart they are taken, too.  Leaves in `s` what it likes.
[[nodiscard]] bool leading_part(MatrixEngine& engine, const Matrix& s, SplitMethod method, const Matrix& out);

}  // namespace halftone::learn
