#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include <halftone/dtype.hpp>

#include "formats/format_traits.hpp"
#include "learn/levels.hpp"
#include "learn/optimizer_loop.hpp"

namespace halftone::learn {

/// A matrix of binary32 in the memory of an engine, row-major.
struct Matrix {
  float* data = nullptr;
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::uint64_t stride = 0;  ///< elements from one row to the next

  /// Columns [first, first + count).
  [[nodiscard]] Matrix columns_at(std::uint64_t first, std::uint64_t count) const { return {data + first, rows, count, stride}; }
  /// Rows [first, first + count).
  [[nodiscard]] Matrix rows_at(std::uint64_t first, std::uint64_t count) const { return {data + first * stride, count, columns, stride}; }
};

/// Memory of an engine.
class Buffer {
 public:
  virtual ~Buffer() = default;
  [[nodiscard]] virtual void* data() const noexcept = 0;
};

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
  Matrix gradient;  ///< of the loss, by the value of the element
  Matrix errors;
  Matrix weight;
  std::uint8_t* levels = nullptr;
  Grid grid;
  const float* row_norms = nullptr;     ///< squared, of the left basis: one for each row
  const float* column_norms = nullptr;  ///< the same of the right basis
  float pull = 0;                       ///< weight of the squared distance from the target
};

struct OptimizerRun;  // optimizer_run.hpp
struct Basis;         // basis.hpp

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

/// The bins that gains are sorted into: quarters of octaves, by the upper bits of a positive binary32.
inline constexpr std::uint32_t kGainBins = 1024;

/// c = alpha · op(a) · op(b) + beta · c, where op transposes if told so.
struct Product {
  Matrix a;
  bool transpose_a = false;
  Matrix b;
  bool transpose_b = false;
  float alpha = 1.0F;
  float beta = 0.0F;
  Matrix c;
  bool full_precision = false;  ///< else factors may lose bits below the 11 of TF32; sums are in binary32
};

/// The operations on matrices of one device that learned rounding is made of.  Calls are carried out one after another;
/// those that return a value wait for it.  One engine serves one thread at a time.
///
/// Sums have a fixed order on one kind of device, so that the same calls give the same bits there.
class Engine {
 public:
  virtual ~Engine() = default;

  /// Sets what multiply() calls first, which every solver comes to all the time.  What it throws ends the work.
  void set_check(std::function<void()> check) { check_ = std::move(check); }

  [[nodiscard]] virtual std::unique_ptr<Buffer> allocate(std::uint64_t bytes) = 0;
  virtual void upload(const void* host, void* device, std::uint64_t bytes) = 0;
  virtual void download(const void* device, void* host, std::uint64_t bytes) = 0;
  virtual void copy(const void* from, void* to, std::uint64_t bytes) = 0;
  virtual void clear(void* data, std::uint64_t bytes) = 0;

  virtual void multiply(const Product& product) = 0;
  /// Replaces the symmetric `a`, of which the lower triangle counts, by its lower Cholesky factor, with whatever above
  /// the diagonal.  Returns false where it is not positive definite.
  [[nodiscard]] virtual bool cholesky(const Matrix& a) = 0;
  /// Replaces a lower triangular matrix by its inverse, with zeros above the diagonal.
  virtual void invert_lower(const Matrix& a) = 0;
  /// Replaces the symmetric `a` by its eigenvectors, row i that of the i-th smallest eigenvalue.
  virtual void eigenvectors(const Matrix& a) = 0;

  /// Converts `n` elements at `host` to binary32.
  virtual void load(Dtype dtype, const std::byte* host, std::uint64_t n, float* out) = 0;
  /// The bits of the largest magnitude of `n` elements.
  [[nodiscard]] virtual std::uint32_t largest(const float* data, std::uint64_t n) = 0;
  /// Rotates groups of `group` of `n` elements (formats/rotation.hpp).
  virtual void rotate(float* data, std::uint64_t n, std::uint32_t group) = 0;
  /// Backend::quantize() of rows × columns elements at `weight`, with everything in the memory of the engine.
  virtual void quantize(const QuantSpec& spec, const Matrix& weight, float tensor_amax, std::uint8_t* codes, std::byte* scales) = 0;
  /// levels[e] = the level of the e-th code.
  virtual void unpack(const PackedCodes& codes, const CodeTables& tables, std::uint8_t* levels) = 0;
  /// Puts the codes of `levels` in the place of those that stand for other levels; returns how many there were.
  [[nodiscard]] virtual std::uint64_t pack(const std::uint8_t* levels, const CodeTables& tables, const PackedCodes& codes) = 0;
  /// out(i, order[j]) = in(i, j), of levels without gaps.
  virtual void scatter_levels(const std::uint8_t* in, std::uint64_t rows, std::uint64_t columns, const std::uint32_t* order,
                              std::uint8_t* out) = 0;
  /// The diagonal of a square matrix.
  virtual void diagonal(const Matrix& a, float* host) = 0;

  /// Random signs, by the element's place and `seed` (Philox 4x32-10).
  virtual void fill_signs(const Matrix& out, std::uint64_t seed) = 0;
  /// out(i, j) = in(i, columns[j]).
  virtual void gather_columns(const Matrix& in, const std::uint32_t* columns, const Matrix& out) = 0;
  /// out(i, j) = factor · in(order[i], order[j]), and `damping` added to the diagonal.
  virtual void gather_moments(const Matrix& in, const std::uint32_t* order, float factor, float damping, const Matrix& out) = 0;
  /// For i < j, out(i, j) = lower(n-1-i, n-1-j) / lower(n-1-j, n-1-j), else 0: of a matrix whose rows and columns were
  /// reversed before it was factored, the unit upper factor without its diagonal.
  virtual void unit_upper(const Matrix& lower, const Matrix& out) = 0;
  /// b += factor · a, of matrices without gaps.
  virtual void add_scaled(const Matrix& a, float factor, const Matrix& b) = 0;
  /// out = the transpose of `in`.
  virtual void transpose(const Matrix& in, const Matrix& out) = 0;
  /// `ridge` · mean of the diagonal, added to the diagonal.
  virtual void add_ridge(const Matrix& a, float ridge) = 0;
  /// The squared norm of each row.
  virtual void row_norms(const Matrix& a, float* out) = 0;
  /// Σ a ∘ b.
  [[nodiscard]] virtual double inner(const Matrix& a, const Matrix& b) = 0;
  [[nodiscard]] double squared_norm(const Matrix& a) { return inner(a, a); }

  /// levels, errors = those of the levels nearest to target + shift; a null shift is none.  `levels` has the stride of `weight`.
  virtual void round(const Matrix& target, const Matrix& shift, const Matrix& weight, const Grid& grid, std::uint8_t* levels,
                     const Matrix& errors) = 0;
  /// errors = values of `levels` - weight.
  virtual void errors_of(const std::uint8_t* levels, const Matrix& weight, const Grid& grid, const Matrix& errors) = 0;
  /// Rounds the columns of a panel one after another, each with the errors of those before it fed back:
  /// t = target - Σ errors(i) · couplings(i, j).
  virtual void feed_back(const Panel& panel) = 0;
  /// Chooses the columns of a panel once more, one after another, each as it is best for the others as they are:
  /// t = weight + error - product / couplings(j, j), where `target` holds the products.
  virtual void sweep(const Panel& panel) = 0;
  /// Adds up, by bins of the gain, what the possible flips take off the loss to first order, in units of 2^-40 · `unit`.
  virtual void count_flips(const Flips& flips, double unit, std::int64_t* host_bins) = 0;
  /// Flips where the gain reaches bin `first`, and returns Σ (value - target)².
  [[nodiscard]] virtual double flip(const Flips& flips, std::uint32_t first) = 0;

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

  /// What Memory says of itself: bytes that it has taken, or, where negative, given back.
  void count_memory(std::int64_t bytes) {
    held_bytes_ += bytes;
    peak_bytes_ = std::max(peak_bytes_, held_bytes_);
  }
  /// The most bytes that were held at once.
  [[nodiscard]] std::uint64_t peak_bytes() const noexcept { return static_cast<std::uint64_t>(peak_bytes_); }

 protected:
  void look_for_stop() const {
    if (check_) check_();
  }

 private:
  std::function<void()> check_;
  std::int64_t held_bytes_ = 0;
  std::int64_t peak_bytes_ = 0;
};

/// Has an engine call `check` while this exists.
class Checked {
 public:
  Checked(Engine& engine, std::function<void()> check) : engine_(engine) { engine.set_check(std::move(check)); }
  Checked(const Checked&) = delete;
  Checked& operator=(const Checked&) = delete;
  ~Checked() { engine_.set_check({}); }

 private:
  Engine& engine_;
};

}  // namespace halftone::learn
