#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include <halftone/dtype.hpp>

namespace halftone::learn {

/// What the elements of a matrix are.
enum class Element : std::uint8_t {
  single,  ///< binary32
  half,    ///< binary16, which only some engines have, and only for what says that it takes either
};

/// A matrix in the memory of an engine, row-major.
struct Matrix {
  float* data = nullptr;  ///< where elements begin, whatever they are
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::uint64_t stride = 0;  ///< elements from one row to the next
  Element element = Element::single;
  float unit = 1.0F;  ///< what 1 is stored as: a power of two that keeps elements in the range of binary16

  /// Bytes from one element to the next.
  [[nodiscard]] std::uint64_t width() const { return element == Element::half ? 2 : sizeof(float); }
  /// Bytes, of a matrix without gaps.
  [[nodiscard]] std::uint64_t bytes() const { return rows * columns * width(); }
  /// Columns [first, first + count).
  [[nodiscard]] Matrix columns_at(std::uint64_t first, std::uint64_t count) const { return part_at(first, rows, count); }
  /// Rows [first, first + count).
  [[nodiscard]] Matrix rows_at(std::uint64_t first, std::uint64_t count) const { return part_at(first * stride, count, columns); }

 private:
  [[nodiscard]] Matrix part_at(std::uint64_t first, std::uint64_t row_count, std::uint64_t column_count) const {
    auto* begin = reinterpret_cast<std::byte*>(data) + first * width();
    return {reinterpret_cast<float*>(begin), row_count, column_count, stride, element, unit};
  }
};

/// Of binary16 matrices whose elements are at most 1, as those of orthonormal columns are: a little above does not overflow.
inline constexpr float kHalfUnit = 16384.0F;
/// Rows of binary16 have a multiple of so many elements: products begin them where vectors of elements may be read.
inline constexpr std::uint64_t kHalfMultiple = 8;

/// Memory of an engine.
class Buffer {
 public:
  virtual ~Buffer() = default;
  [[nodiscard]] virtual void* data() const noexcept = 0;
};

/// c = alpha · op(a) · op(b) + beta · added, where op transposes if told so.  The elements of a and b are of one kind.
struct Product {
  Matrix a;
  bool transpose_a = false;
  Matrix b;
  bool transpose_b = false;
  float alpha = 1.0F;
  float beta = 0.0F;
  Matrix added = {};  ///< of the shape and stride of c, which it is where it has no elements
  Matrix c;
  bool full_precision = false;  ///< else factors may lose bits below the 11 of TF32; sums are in binary32
};

/// Numbers that an engine adds up without telling them at once, so that one wait serves several: places of its own for them.
inline constexpr unsigned kSums = 4;

/// The operations on matrices of one device.  Calls are carried out one after another; those that return a value wait for
/// it.  One engine serves one thread at a time.
///
/// Sums have a fixed order on one kind of device, so that the same calls give the same bits there.
class MatrixEngine {
 public:
  virtual ~MatrixEngine() = default;

  /// Sets what multiply() calls first, which every method comes to all the time.  What it throws ends the work.
  void set_check(std::function<void()> check) { check_ = std::move(check); }

  [[nodiscard]] virtual std::unique_ptr<Buffer> allocate(std::uint64_t bytes) = 0;
  virtual void upload(const void* host, void* device, std::uint64_t bytes) = 0;
  virtual void download(const void* device, void* host, std::uint64_t bytes) = 0;
  virtual void copy(const void* from, void* to, std::uint64_t bytes) = 0;
  virtual void clear(void* data, std::uint64_t bytes) = 0;

  /// Whether products are so much cheaper than factors of matrices of so many rows that an iteration of products may replace one.
  [[nodiscard]] virtual bool prefers_products(std::uint64_t rows) const noexcept = 0;
  /// What the elements of matrices are best that are only there to be multiplied.
  [[nodiscard]] virtual Element factor_element() const noexcept { return Element::single; }
  virtual void multiply(const Product& product) = 0;
  /// Replaces the symmetric `a`, of which the lower triangle counts, by its lower Cholesky factor, with whatever above
  /// the diagonal.  Returns false where it is not positive definite.
  [[nodiscard]] virtual bool cholesky(const Matrix& a) = 0;
  /// Replaces a lower triangular matrix by its inverse, with zeros above the diagonal.
  virtual void invert_lower(const Matrix& a) = 0;
  /// With a ridge on the diagonal, the smallest of first_ridge, ten times that, and so on, at most 1, all times the mean of the
  /// diagonal, with which cholesky() finds a factor: replaces `a`, as add_ridge(), cholesky() and invert_lower() do, by the
  /// inverse of that factor; by zeros where there is none.  Returns false, and does nothing, where that takes a wait.
  [[nodiscard]] virtual bool invert_ridged_factor(const Matrix& /*a*/, float /*first_ridge*/) { return false; }
  /// Replaces the symmetric `a` by its eigenvectors, row i that of the i-th smallest eigenvalue.
  virtual void eigenvectors(const Matrix& a) = 0;

  /// Converts `n` elements at `host` to binary32.
  virtual void load(Dtype dtype, const std::byte* host, std::uint64_t n, float* out) = 0;
  /// The bits of the largest magnitude of `n` elements.
  [[nodiscard]] virtual std::uint32_t largest(const float* data, std::uint64_t n) = 0;
  /// Rotates groups of `group` of `n` elements (formats/rotation.hpp).
  virtual void rotate(float* data, std::uint64_t n, std::uint32_t group) = 0;
  /// The diagonal of a square matrix of either element.
  virtual void diagonal(const Matrix& a, float* host) = 0;

  /// out = factor · in, and `added` on the diagonal, of matrices of either element; `out` may be `in`.
  virtual void convert(const Matrix& in, float factor, const Matrix& out, float added = 0.0F) = 0;
  /// Random signs, by the element's place and `seed` (Philox 4x32-10); of either element.
  virtual void fill_signs(const Matrix& out, std::uint64_t seed) = 0;
  /// out(i, j) = in(i, columns[j]).
  virtual void gather_columns(const Matrix& in, const std::uint32_t* columns, const Matrix& out) = 0;
  /// out(i, j) = factor · in(order[i], order[j]), and `damping` added to the diagonal; a null order leaves all in place.
  virtual void gather_moments(const Matrix& in, const std::uint32_t* order, float factor, float damping, const Matrix& out) = 0;
  /// For i < j, out(i, j) = lower(n-1-i, n-1-j) / lower(n-1-j, n-1-j), else 0: of a matrix whose rows and columns were
  /// reversed before it was factored, the unit upper factor without its diagonal.
  virtual void unit_upper(const Matrix& lower, const Matrix& out) = 0;
  /// b += factor · a, which is of either element and may be b.
  virtual void add_scaled(const Matrix& a, float factor, const Matrix& b) = 0;
  /// Adds `value` to the elements (i, i).
  virtual void add_to_diagonal(const Matrix& a, float value) = 0;
  /// out = the transpose of `in`.
  virtual void transpose(const Matrix& in, const Matrix& out) = 0;
  /// `ridge` · mean of the diagonal, added to the diagonal.
  virtual void add_ridge(const Matrix& a, float ridge) = 0;
  /// The squared norm of each row.
  virtual void row_norms(const Matrix& a, float* out) = 0;

  /// Sum `place` becomes Σ a ∘ b, of matrices of either, but one, element.
  virtual void add_up(const Matrix& a, const Matrix& b, unsigned place) = 0;
  /// The first sums, as many as `out` has.
  virtual void read_sums(std::span<double> out) = 0;
  /// Σ a ∘ b.
  [[nodiscard]] double inner(const Matrix& a, const Matrix& b) {
    double sum = 0;
    add_up(a, b, 0);
    read_sums({&sum, 1});
    return sum;
  }
  [[nodiscard]] double squared_norm(const Matrix& a) { return inner(a, a); }

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
  Checked(MatrixEngine& engine, std::function<void()> check) : engine_(engine) { engine.set_check(std::move(check)); }
  Checked(const Checked&) = delete;
  Checked& operator=(const Checked&) = delete;
  ~Checked() { engine_.set_check({}); }

 private:
  MatrixEngine& engine_;
};

}  // namespace halftone::learn
