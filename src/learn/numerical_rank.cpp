#include "learn/numerical_rank.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "learn/memory.hpp"

namespace halftone::learn {
namespace {

/// The rows of a matrix without gaps whose singular values are looked for.
///
/// A Gram matrix of binary32 tells squares of singular values apart from its rounding, so that those below the square root
/// of the tolerance are lost in it.  They are looked at once more, without the directions of the larger ones.
class Spectrum {
 public:
  Spectrum(MatrixEngine& engine, double tolerance) : engine_(engine), memory_(engine), tolerance_(tolerance) {}

  [[nodiscard]] std::uint64_t count(const Matrix& rows) {
    if (is_above(rows)) return rows.rows;
    const Matrix turned = memory_.matrix(rows.rows, rows.columns);
    const std::vector<float> squares = turn(rows, turned);
    const double largest = *std::max_element(squares.begin(), squares.end());
    const std::uint64_t told = count_above(squares, tolerance_ * largest);
    if (told == 0 || told == rows.rows) return rows.rows;  // nothing finite, or all of them
    const Matrix rest = turned.rows_at(0, rows.rows - told);
    take_off(turned.rows_at(rest.rows, told), rest);
    const double border = tolerance_ * tolerance_ * largest;
    if (!(engine_.squared_norm(rest) > border)) return told;
    return told + count_above(turn(rest, rows.rows_at(0, rest.rows)), border);
  }

 private:
  [[nodiscard]] Matrix gram_of(Memory& memory, const Matrix& rows) {
    const Matrix gram = memory.matrix(rows.rows, rows.rows);
    engine_.multiply({.a = rows, .b = rows, .transpose_b = true, .c = gram, .full_precision = true});
    return gram;
  }

  /// Whether all singular values are so large that a factor of the Gram matrix shows it, which takes less than eigenvectors.
  [[nodiscard]] bool is_above(const Matrix& rows) {
    Memory scratch(engine_);
    const Matrix gram = gram_of(scratch, rows);
    const double largest = std::sqrt(engine_.squared_norm(gram));  // at least the largest square
    engine_.add_to_diagonal(gram, static_cast<float>(-tolerance_ * largest));
    return engine_.cholesky(gram);
  }

  /// out = the rows, turned to their singular directions, the smallest first; returns the squares of their lengths.
  [[nodiscard]] std::vector<float> turn(const Matrix& rows, const Matrix& out) {
    Memory scratch(engine_);
    const Matrix gram = gram_of(scratch, rows);
    engine_.eigenvectors(gram);
    engine_.multiply({.a = gram, .b = rows, .c = out, .full_precision = true});
    auto* norms = scratch.array<float>(rows.rows);
    engine_.row_norms(out, norms);
    std::vector<float> squares(rows.rows);
    engine_.download(norms, squares.data(), squares.size() * sizeof(float));
    return squares;
  }

  /// Takes off the part of `rest` that lies along the rows of `known`, which are nearly orthogonal.
  void take_off(const Matrix& known, const Matrix& rest) {
    Memory scratch(engine_);
    const Matrix factor = gram_of(scratch, known);
    if (!engine_.cholesky(factor)) return;
    engine_.invert_lower(factor);
    const Matrix along = scratch.matrix(rest.rows, known.rows);
    const Matrix solved = scratch.matrix(rest.rows, known.rows);
    for (int i = 0; i < 2; ++i) {  // the second takes off what rounding has left of the first
      engine_.multiply({.a = rest, .b = known, .transpose_b = true, .c = along, .full_precision = true});
      engine_.multiply({.a = along, .b = factor, .transpose_b = true, .c = solved, .full_precision = true});
      engine_.multiply({.a = solved, .b = factor, .c = along, .full_precision = true});
      engine_.multiply({.a = along, .b = known, .alpha = -1.0F, .beta = 1.0F, .c = rest, .full_precision = true});
    }
  }

  [[nodiscard]] static std::uint64_t count_above(const std::vector<float>& squares, double border) {
    return static_cast<std::uint64_t>(
        std::count_if(squares.begin(), squares.end(), [&](float square) { return static_cast<double>(square) > border; }));
  }

  MatrixEngine& engine_;
  Memory memory_;
  double tolerance_;
};

}  // namespace

double rank_tolerance(std::uint64_t rows, std::uint64_t columns) {
  return std::ldexp(8.0 * std::sqrt(static_cast<double>(rows + columns)), -23);
}

std::uint64_t numerical_rank(MatrixEngine& engine, const Matrix& weight, const Matrix& left) {
  Memory memory(engine);
  const Matrix inside = memory.matrix(left.columns, weight.columns);
  engine.multiply({.a = left, .transpose_a = true, .b = weight, .c = inside, .full_precision = true});
  return Spectrum(engine, rank_tolerance(weight.rows, weight.columns)).count(inside);
}

}  // namespace halftone::learn
