#pragma once

#include <cmath>
#include <cstdint>
#include <memory>

#include "formats/format_traits.hpp"
#include "learn/levels.hpp"
#include "learn/matrix_engine.hpp"
#include "learn/optimizer_loop.hpp"

namespace halftone::learn {

/// Where the elements of a rows × columns weight may go: level `l` of element (r, c) is
/// levels->values[l] * scales[r * groups + group_of[c]].  All pointers are into the memory of an engine.
struct Grid {
  const Levels* levels = nullptr;
  const float* scales = nullptr;
  std::uint64_t groups = 0;
  const std::uint32_t* group_of = nullptr;
};

/// Columns of a panel, at most.
inline constexpr std::uint32_t kPanelColumns = 128;

/// Some columns of a weight whose levels are being chosen.  Column i of each member belongs to the same column of the
/// weight.
struct Panel {
  Matrix weight;                   ///< rows × width
  Matrix target;                   ///< rows × width; scratch of a sweep: the products of the errors with the moments
  Matrix errors;                   ///< rows × width: value - weight
  std::uint8_t* levels = nullptr;  ///< rows × width, `weight.stride` from one row to the next
  Grid grid;                       ///< its group_of begins at the first column of the panel
  Matrix couplings;                ///< width × width: of feedback the factors, of a sweep the moments
};

/// A pass over the elements that may go to a neighbouring level (project.cpp).
struct Flips {
  Matrix target;    ///< where the elements are drawn to besides
  Matrix gradient;  ///< of half the squared loss, by the value of the element; of either element
  Matrix errors;    ///< of either element
  Matrix weight;
  std::uint8_t* levels = nullptr;
  Grid grid;
  const float* row_norms = nullptr;     ///< squared, of the left basis: one for each row
  const float* column_norms = nullptr;  ///< the same of the right basis
  float pull = 0;                       ///< weight of the squared distance from the target
};

struct OptimizerRun;    // optimizer_run.hpp
struct Basis;           // basis.hpp
struct WeightedSearch;  // weighted_search.hpp

/// Codes as they are stored, row by row of a layout, in the memory of an engine.  Element e is that of row e / columns.
struct PackedCodes {
  std::uint8_t* data = nullptr;
  std::uint64_t row_bytes = 0;
  std::uint64_t columns = 0;   ///< of the layout, without padding
  std::uint64_t elements = 0;  ///< of the weight; the last row may be partial
  formats::Packing packing{};
};

/// Levels and codes of a format, by each other, in the memory of an engine.
struct CodeTables {
  const Levels* levels = nullptr;
  const LevelOfCode* level_of = nullptr;
};

/// Which flips are made: of the elements that may flip (may_flip()), those of the largest gains that together take a part
/// off the loss.
struct FlipLimit {
  double share = 0;            ///< of half the squared loss, to first order
  double squared_loss = 0;     ///< > 0
  std::uint64_t row_step = 1;  ///< the rows that are asked what the flips take off: one of so many
  unsigned halvings = 0;       ///< one of 2^halvings elements may flip, by chance
  std::uint64_t seed = 0;      ///< of the chance
};

/// The bins that gains are sorted into: quarters of octaves, by the upper bits of a positive binary32.
inline constexpr std::uint32_t kGainBins = 1024;

/// Linear gains are added up as integers, in units of 2^-40 of the squared loss: their sum has no order.
inline constexpr int kGainBits = 40;

/// What the gains of the rows that are asked must add up to, in these units.
[[nodiscard]] inline std::int64_t wanted_gain(const FlipLimit& limit) {
  return static_cast<std::int64_t>(std::ldexp(limit.share, kGainBits) / static_cast<double>(limit.row_step));
}

/// What learned rounding does with the elements of one device besides: the levels that they are rounded to.
class Engine : public MatrixEngine {
 public:
  /// Backend::quantize() of rows × columns elements at `weight`, with everything in the memory of the engine.
  virtual void quantize(const QuantSpec& spec, const Matrix& weight, float tensor_amax, std::uint8_t* codes, std::byte* scales) = 0;
  /// Chooses the scales of groups by weighted squared errors; the same bytes on every device.
  virtual void search_scales(const WeightedSearch& search) = 0;
  /// levels[e] = the level of the e-th code.
  virtual void unpack(const PackedCodes& codes, const CodeTables& tables, std::uint8_t* levels) = 0;
  /// Puts the codes of `levels` in the place of those that stand for other levels; returns how many there were.
  [[nodiscard]] virtual std::uint64_t pack(const std::uint8_t* levels, const CodeTables& tables, const PackedCodes& codes) = 0;
  /// out(i, order[j]) = in(i, j), of levels without gaps.
  virtual void scatter_levels(const std::uint8_t* in, std::uint64_t rows, std::uint64_t columns, const std::uint32_t* order,
                              std::uint8_t* out) = 0;

  /// levels, errors = those of the levels nearest to target + shift; a null shift is none.  `levels` has the stride of `weight`.
  /// The shift and the errors are of either element.
  virtual void round(const Matrix& target, const Matrix& shift, const Matrix& weight, const Grid& grid, std::uint8_t* levels,
                     const Matrix& errors) = 0;
  /// errors, of either element = values of `levels` - weight.
  virtual void errors_of(const std::uint8_t* levels, const Matrix& weight, const Grid& grid, const Matrix& errors) = 0;
  /// Rounds the columns of a panel one after another, each with the errors of those before it fed back:
  /// t = target - Σ errors(i) · couplings(i, j).
  virtual void feed_back(const Panel& panel) = 0;
  /// Chooses the columns of a panel once more, one after another, each as it is best for the others as they are:
  /// t = weight + error - product / couplings(j, j), where `target` holds the products.
  virtual void sweep(const Panel& panel) = 0;
  /// Flips the elements that the limit lets.  Sum `place` becomes Σ (value - target)² of all elements after that.
  virtual void flip(const Flips& flips, const FlipLimit& limit, unsigned place) = 0;

  /// Shows a loop the norm of `measured`, which is its loss, and prepares its next step.
  virtual void advance(const OptimizerRun& run, const Matrix& measured) = 0;
  /// Keeps the present iterate of a loop where it is the best; then, unless the loop has stopped, makes a step, and sets
  /// the errors of the next iterate.
  virtual void optimizer_step(const OptimizerRun& run) = 0;
  /// errors = first + offsets · scales, of matrices without gaps.
  virtual void errors_at(const Matrix& first, const float* offsets, const Grid& grid, const Matrix& errors) = 0;
  /// With codes that are values of `levels` + offsets, or without where `offsets` is null: for each row and each group of
  /// `width` columns, dots = Σ a · code and squares = Σ code², rows × groups.
  virtual void code_sums(const std::uint8_t* levels, const float* offsets, const Matrix& a, const Grid& grid, std::uint64_t width,
                         float* dots, float* squares) = 0;
  /// The iterations of a run whose loss is ‖leftᵀ E right‖ with products that may lose bits below the 11 of TF32; null where
  /// the engine, or this run, has no faster way than advance() and optimizer_step().  `run` and `basis` must outlive it.
  [[nodiscard]] virtual std::unique_ptr<OptimizerLoop> optimizer_loop(const OptimizerRun& /*run*/, const Basis& /*basis*/) { return {}; }
};

}  // namespace halftone::learn
