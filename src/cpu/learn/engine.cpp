#include "cpu/learn/engine.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>

#include "base/fail.hpp"
#include "cpu/eigen_blocking.hpp"
#include "cpu/learn/optimizer_steps.hpp"
#include "formats/rotation.hpp"
#include "learn/packed_codes.hpp"
#include "learn/philox.hpp"
#include "learn/steps.hpp"
#include "learn/weighted_search.hpp"

namespace halftone::cpu {
namespace {

using learn::Flips;
using learn::Grid;
using learn::Matrix;
using learn::Panel;
using learn::Product;

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<RowMajor, Eigen::Unaligned, Eigen::OuterStride<>>;

View view(const Matrix& a) {
  return {a.data, static_cast<Eigen::Index>(a.rows), static_cast<Eigen::Index>(a.columns),
          Eigen::OuterStride<>(static_cast<Eigen::Index>(a.stride))};
}

class HostBuffer : public learn::Buffer {
 public:
  explicit HostBuffer(std::uint64_t bytes) : data_(::operator new (bytes, std::align_val_t{64})) {}
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  ~HostBuffer() override { ::operator delete (data_, std::align_val_t{64}); }
  [[nodiscard]] void* data() const noexcept override { return data_; }

 private:
  void* data_;
};

/// Sums of this many elements are made in binary32, in sixteen lanes, before the sum goes on in binary64.
constexpr std::uint64_t kSumElements = 4096;

/// Σ a[i] b[i], in one order.
double inner_of(const float* a, const float* b, std::uint64_t n) {
  constexpr std::uint64_t lanes = 16;
  double sum = 0;
  for (std::uint64_t done = 0; done < n; done += kSumElements) {
    const std::uint64_t end = std::min(done + kSumElements, n);
    float lane[lanes] = {};
    std::uint64_t i = done;
    for (; i + lanes <= end; i += lanes) {
      for (std::uint64_t l = 0; l < lanes; ++l) lane[l] += a[i + l] * b[i + l];
    }
    for (std::uint64_t l = 0; i < end; ++i, ++l) lane[l] += a[i] * b[i];
    for (std::uint64_t half = lanes / 2; half > 0; half /= 2) {
      for (std::uint64_t l = 0; l < half; ++l) lane[l] += lane[l + half];
    }
    sum += static_cast<double>(lane[0]);
  }
  return sum;
}

class CpuEngine : public learn::Engine {
 public:
  explicit CpuEngine(const Backend& backend) : backend_(backend) { fix_eigen_blocking(); }

  [[nodiscard]] std::unique_ptr<learn::Buffer> allocate(std::uint64_t bytes) override { return std::make_unique<HostBuffer>(bytes); }
  void upload(const void* host, void* device, std::uint64_t bytes) override { copy(host, device, bytes); }
  void download(const void* device, void* host, std::uint64_t bytes) override { copy(device, host, bytes); }
  void copy(const void* from, void* to, std::uint64_t bytes) override {
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void clear(void* data, std::uint64_t bytes) override {
    if (bytes != 0) std::memset(data, 0, bytes);
  }

  void load(Dtype dtype, const std::byte* host, std::uint64_t n, float* out) override { backend_.to_float(dtype, host, n, out); }
  [[nodiscard]] std::uint32_t largest(const float* data, std::uint64_t n) override {
    return backend_.max_magnitude({reinterpret_cast<const std::byte*>(data), Dtype::F32, 1, n});
  }
  void rotate(float* data, std::uint64_t n, std::uint32_t group) override { formats::rotate_groups(data, n, group); }
  void quantize(const QuantSpec& spec, const Matrix& weight, float tensor_amax, std::uint8_t* codes, std::byte* scales) override {
    const MatrixView view{reinterpret_cast<const std::byte*>(weight.data), Dtype::F32, weight.rows, weight.columns};
    backend_.quantize(spec, view, tensor_amax, {reinterpret_cast<std::byte*>(codes), scales});
  }
  void search_scales(const learn::WeightedSearch& search) override { learn::search_weighted(search); }
  void unpack(const learn::PackedCodes& codes, const learn::CodeTables& tables, std::uint8_t* levels) override {
    for (std::uint64_t e = 0; e < codes.elements; ++e) levels[e] = tables.level_of->level[learn::code_at(codes, e)];
  }
  [[nodiscard]] std::uint64_t pack(const std::uint8_t* levels, const learn::CodeTables& tables, const learn::PackedCodes& codes) override {
    std::uint64_t changed = 0;
    for (std::uint64_t e = 0; e < codes.elements; ++e) {
      if (tables.level_of->level[learn::code_at(codes, e)] == levels[e]) continue;
      learn::set_code(codes, e, tables.levels->codes[levels[e]]);
      ++changed;
    }
    return changed;
  }
  void scatter_levels(const std::uint8_t* in, std::uint64_t rows, std::uint64_t columns, const std::uint32_t* order,
                      std::uint8_t* out) override {
    for (std::uint64_t row = 0; row < rows; ++row) {
      for (std::uint64_t i = 0; i < columns; ++i) out[row * columns + order[i]] = in[row * columns + i];
    }
  }
  void diagonal(const Matrix& a, float* host) override {
    for (std::uint64_t i = 0; i < a.rows; ++i) host[i] = a.data[i * a.stride + i];
  }

  [[nodiscard]] bool prefers_products(std::uint64_t) const noexcept override { return false; }
  void multiply(const Product& p) override {
    look_for_stop();
    View c = view(p.c);
    if (p.beta == 0.0F) {
      c.setZero();
    } else if (p.added.data != nullptr && p.added.data != p.c.data) {
      c = p.beta * view(p.added);
    } else if (p.beta != 1.0F) {
      c *= p.beta;
    }
    const View a = view(p.a);
    const View b = view(p.b);
    if (p.transpose_a && p.transpose_b) {
      c.noalias() += p.alpha * a.transpose() * b.transpose();
    } else if (p.transpose_a) {
      c.noalias() += p.alpha * a.transpose() * b;
    } else if (p.transpose_b) {
      c.noalias() += p.alpha * a * b.transpose();
    } else {
      c.noalias() += p.alpha * a * b;
    }
  }

  [[nodiscard]] bool cholesky(const Matrix& a) override {
    View view_of_a = view(a);
    const Eigen::LLT<Eigen::Ref<RowMajor, 0, Eigen::OuterStride<>>, Eigen::Lower> factor(view_of_a);
    return factor.info() == Eigen::Success && view_of_a.diagonal().allFinite();
  }

  void invert_lower(const Matrix& a) override {
    RowMajor inverse = RowMajor::Identity(static_cast<Eigen::Index>(a.rows), static_cast<Eigen::Index>(a.rows));
    view(a).triangularView<Eigen::Lower>().solveInPlace(inverse);
    view(a) = inverse;
  }

  void eigenvectors(const Matrix& a) override {
    const Eigen::SelfAdjointEigenSolver<RowMajor> solver(view(a));
    if (solver.info() != Eigen::Success) fail(ErrorKind::internal, "no eigenvectors were found of a matrix of {} rows", a.rows);
    view(a) = solver.eigenvectors().transpose();
  }

  void convert(const Matrix& in, float factor, const Matrix& out, float added) override {
    view(out) = factor * view(in);
    if (added != 0.0F) add_to_diagonal(out, added);
  }
  void fill_signs(const Matrix& out, std::uint64_t seed) override {
    for_each(out,
             [&](std::uint64_t row, std::uint64_t column, float& value) { value = learn::random_sign(row * out.columns + column, seed); });
  }
  void gather_columns(const Matrix& in, const std::uint32_t* columns, const Matrix& out) override {
    for_each(out, [&](std::uint64_t row, std::uint64_t column, float& value) { value = in.data[row * in.stride + columns[column]]; });
  }
  void gather_moments(const Matrix& in, const std::uint32_t* order, float factor, float damping, const Matrix& out) override {
    for_each(out, [&](std::uint64_t row, std::uint64_t column, float& value) {
      const std::uint64_t from_row = order == nullptr ? row : order[row];
      const std::uint64_t from_column = order == nullptr ? column : order[column];
      value = factor * in.data[from_row * in.stride + from_column] + (row == column ? damping : 0.0F);
    });
  }
  void unit_upper(const Matrix& lower, const Matrix& out) override {
    const std::uint64_t last = out.rows - 1;
    for_each(out, [&](std::uint64_t row, std::uint64_t column, float& value) {
      const float* pivot_row = lower.data + (last - column) * lower.stride;
      const float* value_row = lower.data + (last - row) * lower.stride;
      value = row < column ? value_row[last - column] / pivot_row[last - column] : 0.0F;
    });
  }
  void add_scaled(const Matrix& a, float factor, const Matrix& b) override { view(b) += factor * view(a); }
  void add_to_diagonal(const Matrix& a, float value) override {
    for (std::uint64_t i = 0; i < std::min(a.rows, a.columns); ++i) a.data[i * a.stride + i] += value;
  }
  void transpose(const Matrix& in, const Matrix& out) override { view(out) = view(in).transpose(); }
  void add_ridge(const Matrix& a, float ridge) override {
    double sum = 0;
    for (std::uint64_t i = 0; i < a.rows; ++i) sum += static_cast<double>(a.data[i * a.stride + i]);
    const auto added = static_cast<float>(ridge * sum / static_cast<double>(a.rows));
    for (std::uint64_t i = 0; i < a.rows; ++i) a.data[i * a.stride + i] += added;
  }
  void row_norms(const Matrix& a, float* out) override {
    for (std::uint64_t row = 0; row < a.rows; ++row) {
      const float* values = a.data + row * a.stride;
      out[row] = static_cast<float>(inner_of(values, values, a.columns));
    }
  }
  void add_up(const Matrix& a, const Matrix& b, unsigned place) override {
    double sum = 0;
    for (std::uint64_t row = 0; row < a.rows; ++row) sum += inner_of(a.data + row * a.stride, b.data + row * b.stride, a.columns);
    sums_[place] = sum;
  }
  void read_sums(std::span<double> out) override { std::copy_n(sums_.begin(), out.size(), out.begin()); }

  void round(const Matrix& target, const Matrix& shift, const Matrix& weight, const Grid& grid, std::uint8_t* levels,
             const Matrix& errors) override {
    for (std::uint64_t row = 0; row < weight.rows; ++row) {
      const float* scales = grid.scales + row * grid.groups;
      for (std::uint64_t i = 0; i < weight.columns; ++i) {
        float wanted = target.data[row * target.stride + i];
        if (shift.data != nullptr) wanted += shift.data[row * shift.stride + i];
        const learn::Rounded rounded = learn::round_to(*grid.levels, wanted, scales[grid.group_of[i]]);
        levels[row * weight.stride + i] = static_cast<std::uint8_t>(rounded.level);
        errors.data[row * errors.stride + i] = rounded.value - weight.data[row * weight.stride + i];
      }
    }
  }

  void errors_of(const std::uint8_t* levels, const Matrix& weight, const Grid& grid, const Matrix& errors) override {
    for (std::uint64_t row = 0; row < weight.rows; ++row) {
      const float* scales = grid.scales + row * grid.groups;
      for (std::uint64_t i = 0; i < weight.columns; ++i) {
        errors.data[row * errors.stride + i] =
            grid.levels->values[levels[row * weight.stride + i]] * scales[grid.group_of[i]] - weight.data[row * weight.stride + i];
      }
    }
  }

  void feed_back(const Panel& panel) override {
    const std::uint64_t width = panel.weight.columns;
    for (std::uint64_t row = 0; row < panel.weight.rows; ++row) {
      float* target = panel.target.data + row * panel.target.stride;
      for (std::uint64_t i = 0; i < width; ++i) {
        const float error = place(panel, row, i, target[i]);
        const float* coupling = panel.couplings.data + i * panel.couplings.stride;
        for (std::uint64_t j = i + 1; j < width; ++j) target[j] -= error * coupling[j];
      }
    }
  }

  void sweep(const Panel& panel) override {
    const std::uint64_t width = panel.weight.columns;
    for (std::uint64_t row = 0; row < panel.weight.rows; ++row) {
      float* product = panel.target.data + row * panel.target.stride;
      for (std::uint64_t i = 0; i < width; ++i) {
        const float before = panel.errors.data[row * panel.errors.stride + i];
        const float* coupling = panel.couplings.data + i * panel.couplings.stride;
        const float wanted = panel.weight.data[row * panel.weight.stride + i] + (before - product[i] / coupling[i]);
        const float change = place(panel, row, i, wanted) - before;
        if (change == 0.0F) continue;
        for (std::uint64_t j = 0; j < width; ++j) product[j] += change * coupling[j];
      }
    }
  }

  void flip(const Flips& flips, const learn::FlipLimit& limit, unsigned place) override {
    const std::uint64_t columns = flips.weight.columns;
    const std::uint32_t first = first_bin(flips, limit);
    std::vector<float> distances(columns);
    double sum = 0;
    for_each_flip(flips, 1, [&](std::uint64_t at, const learn::Flip& flip, float value) {
      if (flip.gain > 0.0F && learn::gain_bin(flip.gain) >= first && learn::may_flip(at, limit.halvings, limit.seed)) {
        flips.levels[at] = static_cast<std::uint8_t>(flip.level);
        flips.errors.data[at] = flip.value - flips.weight.data[at];
        value = flip.value;
      }
      distances[at % columns] = value - flips.target.data[at];
      if (at % columns == columns - 1) sum += inner_of(distances.data(), distances.data(), columns);
    });
    sums_[place] = sum;
  }

  void advance(const learn::OptimizerRun& run, const Matrix& measured) override { cpu::advance(run, std::sqrt(squared_norm(measured))); }
  void optimizer_step(const learn::OptimizerRun& run) override { cpu::optimizer_step(run); }
  void errors_at(const Matrix& first, const float* offsets, const Grid& grid, const Matrix& errors) override {
    for (std::uint64_t row = 0; row < first.rows; ++row) {
      const float* scales = grid.scales + row * grid.groups;
      for (std::uint64_t i = 0; i < first.columns; ++i) {
        const std::uint64_t at = row * first.columns + i;
        errors.data[at] = learn::error_at(first.data[at], offsets[at], scales[grid.group_of[i]]);
      }
    }
  }
  void code_sums(const std::uint8_t* levels, const float* offsets, const Matrix& a, const Grid& grid, std::uint64_t width, float* dots,
                 float* squares) override {
    for (std::uint64_t i = 0; i < a.rows * grid.groups; ++i) {
      const std::uint64_t first = i % grid.groups * width;
      double dot = 0;
      double square = 0;
      for (std::uint64_t column = first; column < std::min(first + width, a.columns); ++column) {
        const std::uint64_t at = i / grid.groups * a.columns + column;
        const auto code = static_cast<double>(grid.levels->values[levels[at]] + (offsets == nullptr ? 0.0F : offsets[at]));
        dot += static_cast<double>(a.data[at]) * code;
        square += code * code;
      }
      dots[i] = static_cast<float>(dot);
      squares[i] = static_cast<float>(square);
    }
  }

 private:
  template <class Function>
  static void for_each(const Matrix& a, const Function& function) {
    for (std::uint64_t row = 0; row < a.rows; ++row) {
      for (std::uint64_t column = 0; column < a.columns; ++column) function(row, column, a.data[row * a.stride + column]);
    }
  }

  /// Rounds an element of a panel and returns its error.
  static float place(const Panel& panel, std::uint64_t row, std::uint64_t column, float wanted) {
    const Grid& grid = panel.grid;
    const learn::Rounded rounded = learn::round_to(*grid.levels, wanted, grid.scales[row * grid.groups + grid.group_of[column]]);
    panel.levels[row * panel.weight.stride + column] = static_cast<std::uint8_t>(rounded.level);
    const float error = rounded.value - panel.weight.data[row * panel.weight.stride + column];
    panel.errors.data[row * panel.errors.stride + column] = error;
    return error;
  }

  /// The highest bin such that the flips from it on take the share off.
  static std::uint32_t first_bin(const Flips& flips, const learn::FlipLimit& limit) {
    const double units = std::ldexp(1.0 / limit.squared_loss, learn::kGainBits);
    std::vector<std::int64_t> bins(learn::kGainBins);
    for_each_flip(flips, limit.row_step, [&](std::uint64_t at, const learn::Flip& flip, float) {
      if (!(flip.gain > 0.0F) || !learn::may_flip(at, limit.halvings, limit.seed)) return;
      bins[learn::gain_bin(flip.gain)] += std::llrint(static_cast<double>(flip.linear) * units);
    });
    const std::int64_t wanted = learn::wanted_gain(limit);
    std::int64_t sum = 0;
    std::uint32_t bin = learn::kGainBins;
    while (bin > 0 && sum < wanted) sum += bins[--bin];
    return bin;
  }

  /// Calls function(place, flip, value now) for every element of one of `row_step` rows, of matrices without gaps.
  template <class Function>
  static void for_each_flip(const Flips& flips, std::uint64_t row_step, const Function& function) {
    const Grid& grid = flips.grid;
    for (std::uint64_t row = 0; row < flips.weight.rows; row += row_step) {
      for (std::uint64_t i = 0; i < flips.weight.columns; ++i) {
        const std::uint64_t at = row * flips.weight.columns + i;
        const float scale = grid.scales[row * grid.groups + grid.group_of[i]];
        const std::uint32_t level = flips.levels[at];
        const float value = grid.levels->values[level] * scale;
        const float curvature = flips.row_norms[row] * flips.column_norms[i];
        function(at,
                 learn::best_flip(*grid.levels, level, value, scale, flips.target.data[at], flips.gradient.data[at], curvature, flips.pull),
                 value);
      }
    }
  }

  const Backend& backend_;
  std::array<double, learn::kSums> sums_{};
};

}  // namespace

std::unique_ptr<learn::Engine> make_engine(const Backend& backend) { return std::make_unique<CpuEngine>(backend); }

}  // namespace halftone::cpu
