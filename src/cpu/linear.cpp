#include "cpu/linear.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

#include <Eigen/Core>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "base/parallel.hpp"
#include "cpu/eigen_blocking.hpp"
#include "formats/rotation.hpp"
#include "ops/layer_operations.hpp"
#include "ops/linear_checks.hpp"
#include "ops/operation_table.hpp"

namespace halftone::cpu {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Rows of the weight that are decoded and multiplied at a time.  Fixed, so that no sum depends on threads.
constexpr std::uint64_t kBandRows = 256;

Eigen::Map<const RowMajor> view(const std::vector<float>& values, std::uint64_t rows, std::uint64_t columns) {
  return {values.data(), static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns)};
}

/// x · weightᵀ + bias, in binary32, band by band of the weight; what the weight is, derived classes say.
class CpuLinear : public Linear {
 public:
  CpuLinear(const Backend& backend, std::uint64_t rows, std::uint64_t columns, std::vector<float> bias, unsigned threads)
      : backend_(backend), rows_(rows), columns_(columns), bias_(std::move(bias)), threads_(threads) {
    ops::check_bias(bias_.size(), rows);
    fix_eigen_blocking();
  }

  [[nodiscard]] std::uint64_t rows() const noexcept override { return rows_; }
  [[nodiscard]] std::uint64_t columns() const noexcept override { return columns_; }

  void run(const MatrixView& x, Dtype out, std::byte* y) override {
    ops::check_input(x, columns_, out);
    std::vector<float> inputs(x.elements());
    if (!inputs.empty()) backend_.to_float(x.dtype, x.data, x.elements(), inputs.data());
    prepare(inputs, x.rows);
    std::vector<float> products(x.rows * rows_);
    base::parallel_for(base::ceil_div(rows_, kBandRows), threads_,
                       [&](std::size_t band) { multiply(inputs, x.rows, band * kBandRows, products); });
    if (!products.empty()) backend_.from_float(products.data(), products.size(), out, y);
  }

  [[nodiscard]] double seconds(const MatrixView& x, Dtype out, int repeats) override {
    std::vector<std::byte> y(x.rows * rows_ * bits_of(out) / 8);
    run(x, out, y.data());
    std::vector<double> times;
    for (int i = 0; i < std::max(repeats, 1); ++i) {
      const auto begin = std::chrono::steady_clock::now();
      run(x, out, y.data());
      times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    return times[times.size() / 2];
  }

 protected:
  /// What becomes of the inputs first.
  virtual void prepare(std::vector<float>& /*inputs*/, std::uint64_t /*rows*/) const {}
  /// Rows [first, first + count) of the weight, as the inputs meet it.
  virtual void weight_rows(std::uint64_t first, std::uint64_t count, float* out) const = 0;

  [[nodiscard]] const Backend& backend() const noexcept { return backend_; }

 private:
  void multiply(const std::vector<float>& inputs, std::uint64_t n, std::uint64_t first, std::vector<float>& products) const {
    const std::uint64_t count = std::min(kBandRows, rows_ - first);
    std::vector<float> weight(count * columns_);
    weight_rows(first, count, weight.data());
    RowMajor found = view(inputs, n, columns_) * view(weight, count, columns_).transpose();
    for (std::uint64_t row = 0; row < n; ++row) {
      for (std::uint64_t i = 0; i < count; ++i) {
        const float sum = found(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(i));
        products[row * rows_ + first + i] = bias_.empty() ? sum : sum + bias_[first + i];
      }
    }
  }

  const Backend& backend_;
  std::uint64_t rows_;
  std::uint64_t columns_;
  std::vector<float> bias_;
  unsigned threads_;
};

class QuantizedLinear : public CpuLinear {
 public:
  QuantizedLinear(const Backend& backend, LinearLayer layer, Activations activations, unsigned threads)
      : CpuLinear(backend, layer.rows, layer.columns, layer.bias, threads), layer_(std::move(layer)), activations_(activations) {
    if (layer_.scales_of_columns) {
      values_ = ops::dequantize_layer(backend, layer_);
    } else {
      matrix_.emplace(ops::matrix_of(layer_, multiplies_rotated()));
    }
  }

  [[nodiscard]] std::string method() const override {
    return activations_ == Activations::plain ? "dequantized weight, binary32" : "dequantized weight and inputs, binary32";
  }

 protected:
  void prepare(std::vector<float>& inputs, std::uint64_t rows) const override {
    if (activations_ == Activations::plain) return;
    if (layer_.spec.rotation_group != 0) formats::rotate_groups(inputs.data(), inputs.size(), layer_.spec.rotation_group);
    round_activations(layer_, activations_, inputs.data(), rows);
  }

  void weight_rows(std::uint64_t first, std::uint64_t count, float* out) const override {
    if (!matrix_) {
      std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first * columns()), count * columns(), out);
      return;
    }
    // Blocks are read whole.
    const std::uint64_t before = first % matrix_->row_multiple();
    if (before == 0) return matrix_->read(backend(), first, count, out);
    std::vector<float> values((before + count) * columns());
    matrix_->read(backend(), first - before, before + count, values.data());
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(before * columns()), count * columns(), out);
  }

 private:
  /// Inputs that are quantized meet the weight as it was quantized: both are rotated.
  [[nodiscard]] bool multiplies_rotated() const { return activations_ != Activations::plain; }

  LinearLayer layer_;
  Activations activations_;
  std::optional<formats::StoredMatrix> matrix_;
  std::vector<float> values_;  ///< where the layer's scales are those of columns
};

class DenseLinear : public CpuLinear {
 public:
  DenseLinear(const Backend& backend, const MatrixView& weight, std::span<const float> bias, unsigned threads)
      : CpuLinear(backend, weight.rows, weight.columns, {bias.begin(), bias.end()}, threads), values_(weight.elements()) {
    if (!values_.empty()) backend.to_float(weight.dtype, weight.data, weight.elements(), values_.data());
  }

  [[nodiscard]] std::string method() const override { return "binary32 product"; }

 protected:
  void weight_rows(std::uint64_t first, std::uint64_t count, float* out) const override {
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(first * columns()), count * columns(), out);
  }

 private:
  std::vector<float> values_;
};

}  // namespace

std::unique_ptr<Linear> make_linear(const Backend& backend, LinearLayer layer, Activations activations, unsigned threads) {
  return std::make_unique<QuantizedLinear>(backend, std::move(layer), activations, threads);
}

std::unique_ptr<Linear> make_dense(const Backend& backend, const MatrixView& weight, std::span<const float> bias, unsigned threads) {
  return std::make_unique<DenseLinear>(backend, weight, bias, threads);
}

}  // namespace halftone::cpu
