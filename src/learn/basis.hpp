#pragma once

#include <cstdint>

#include <halftone/learn.hpp>

#include "learn/matrix_engine.hpp"
#include "learn/memory.hpp"

namespace halftone::learn {

/// How many singular vectors of a weight `options` ask for, as convert_to_quant counts them.
[[nodiscard]] std::uint64_t rank_of(const RankOptions& options, std::uint64_t rows, std::uint64_t columns);

/// Where a basis of a rows × columns weight is so large a part of the space, or the space so small, that eigenvectors are
/// cheaper than a random subspace.
[[nodiscard]] bool prefers_exact(std::uint64_t rank, std::uint64_t rows, std::uint64_t columns);

/// Columns of the random subspace for a basis of `rank`: what lies just outside of the basis then disturbs it less.
[[nodiscard]] std::uint64_t oversampled(std::uint64_t rank, std::uint64_t rows, std::uint64_t columns);

/// Power iterations for a basis.  One of the usual part of the directions (RankOptions::top_p) gets those of the effort, a
/// smaller one up to three times as many, for what lies just outside disturbs it more; all together take no longer than those
/// of the usual one.
[[nodiscard]] int power_iterations(Effort effort, std::uint64_t rank, std::uint64_t rows, std::uint64_t columns);

enum class BasisMethod : std::uint8_t {
  automatic,   ///< exact where the basis is a large part of the space or the weight is small
  exact,       ///< eigenvectors of the smaller Gram matrix
  randomized,  ///< power iterations on a random subspace
};

/// Orthonormal columns that span, nearly, the leading left and right singular vectors of a weight.  Columns of zeros
/// follow, without gaps, so that rows begin where vectors of elements may be read; they change no product.
struct Basis {
  Matrix left;   ///< rows × (rank and zeros)
  Matrix right;  ///< columns × (rank and zeros)
  std::uint64_t rank = 0;
  std::uint64_t wanted_rank = 0;  ///< more than `rank` where the weight has not so many directions
  double captured_energy = 0;     ///< ‖leftᵀ W‖² / ‖W‖²
  double residual = 0;            ///< ‖Wᵀ left - right rightᵀ Wᵀ left‖ / ‖Wᵀ left‖; 0 is an invariant subspace
};

/// A matrix times a factor.
struct Resized {
  Matrix matrix;
  float factor = 1.0F;
};

/// `a`, or where squares of its elements might leave the range of binary32, a copy with a largest magnitude near 1, which
/// has the same singular vectors; in `memory`.
[[nodiscard]] Resized of_usual_size(MatrixEngine& engine, Memory& memory, const Matrix& a);

/// A basis of `rank` columns, at most the smaller dimension, of a weight without gaps that is not zero; its matrices are in
/// `memory`.  Randomized (Halko, Martinsson and Tropp, "Finding structure with randomness", 2011, algorithm 4.4); `seed`
/// decides the start.
///
/// A weight of a smaller numerical rank (numerical_rank.hpp) gets the basis of that rank: more columns would be rounding.  A
/// random subspace hardly finds directions a thousand times smaller than others.
[[nodiscard]] Basis leading_basis(MatrixEngine& engine, Memory& memory, const Matrix& weight, std::uint64_t rank, BasisMethod method,
                                  int power_iterations, std::uint64_t seed);

}  // namespace halftone::learn
