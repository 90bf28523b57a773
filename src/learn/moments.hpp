#pragma once

#include <cstdint>
#include <optional>

#include "learn/memory.hpp"

namespace halftone::learn {

/// What is known of the vectors that a layer multiplies, in the memory of an engine.
struct Moments {
  Matrix second;                       ///< columns × columns: the mean of x xᵀ; null where it is not known
  Matrix cross;                        ///< the same of x₀ xᵀ, where x₀ is what the original model has for x; null likewise
  std::optional<std::uint64_t> count;  ///< how many vectors they are the mean of
};

/// The damping of moments that are the mean of `count` vectors of `columns` elements: the fewer vectors, the less their
/// moments say about others.
[[nodiscard]] double damping_for(std::uint64_t columns, std::optional<std::uint64_t> count);

/// What makes the mean of the diagonal of `second` 1; 0 where it is zero.
[[nodiscard]] double normaliser_of(MatrixEngine& engine, const Matrix& second);

/// Whether normaliser · `second` has no negative eigenvalues but those that its storage in BF16 explains.  Looks no further
/// than `damping` makes it necessary: true may also mean that a factor of the damped moments will tell.
[[nodiscard]] bool is_semidefinite(MatrixEngine& engine, const Matrix& second, double normaliser, double damping);

/// normaliser · moments + damping · I, in `memory`.
[[nodiscard]] Matrix damped(MatrixEngine& engine, Memory& memory, const Matrix& moments, double normaliser, double damping);

}  // namespace halftone::learn
