#include "linear_bench.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>
#include <vector>

#include <halftone/codec/half.hpp>

#include "base/fail.hpp"
#include "cpu/cpu_backend.hpp"
#include "cpu/linear.hpp"
#include "cuda_backend.hpp"
#include "formats/quant_spec.hpp"
#include "formats/rotation.hpp"
#include "linear/device_linear.hpp"
#include "linear/device_weight.hpp"
#include "ops/layer_operations.hpp"
#include "ops/operation_table.hpp"
#include "runtime/graph.hpp"

namespace halftone::cuda {
namespace {

/// Rows and columns of the outputs that are compared.
constexpr std::uint64_t kSamples = 24;

/// `n` values of a bell-like distribution of this width, in BF16, the same on every run.
std::vector<std::uint16_t> sample_values(std::uint64_t n, std::uint64_t seed, float width) {
  std::vector<std::uint16_t> values(n);
  std::uint64_t state = seed;
  for (std::uint16_t& value : values) {
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      sum += static_cast<float>(state >> 40) * 0x1p-24F - 0.5F;
    }
    value = codec::Bf16::encode(sum * width);
  }
  return values;
}

/// A matrix of BF16 on the host.
struct HostMatrix {
  HostMatrix(std::uint64_t n_rows, std::uint64_t n_columns, std::uint64_t seed, float width)
      : rows(n_rows), columns(n_columns), values(sample_values(rows * columns, seed, width)) {}
  [[nodiscard]] MatrixView view() const { return {reinterpret_cast<const std::byte*>(values.data()), Dtype::BF16, rows, columns}; }
  [[nodiscard]] std::vector<float> row(std::uint64_t i) const {
    std::vector<float> out(columns);
    for (std::uint64_t c = 0; c < columns; ++c) out[c] = codec::Bf16::decode(values[i * columns + c]);
    return out;
  }
  [[nodiscard]] float largest() const {
    float largest = 0;
    for (const std::uint16_t value : values) largest = std::max(largest, std::fabs(codec::Bf16::decode(value)));
    return largest;
  }

  std::uint64_t rows;
  std::uint64_t columns;
  std::vector<std::uint16_t> values;
};

class LinearBench {
 public:
  LinearBench(int device, const LinearBenchOptions& options, const std::function<void(const LinearTime&)>& report)
      : options_(options), report_(report), backend_(make_backend({{device}, 0})), cpu_(cpu::make_backend()), device_(device) {}

  void run() {
    for (const ProductShape& shape : options_.shapes) {
      const HostMatrix weight(shape.n, shape.k, 0x9E37'79B9'7F4A'7C15U, 0.03F);
      const HostMatrix x(shape.m, shape.k, 0x6A09'E667'F3BC'C908U, 1.0F);
      bench_dense(shape, weight, x);
      for (const FormatDescriptor* format : all_formats()) {
        if (is_wanted(*format)) bench_format(*format, shape, weight, x);
      }
    }
  }

 private:
  [[nodiscard]] bool is_wanted(const FormatDescriptor& format) const {
    const auto& names = options_.formats;
    return names.empty() || std::find(names.begin(), names.end(), format.name()) != names.end();
  }

  /// The block size is 128 where a format has it: what products have kernels for.
  [[nodiscard]] static QuantSpec spec_of(const FormatDescriptor& format) {
    QuantSpec spec{.format = &format};
    const auto& sizes = format.facts().block_sizes;
    if (format.grid() == ScaleGrid::block && std::find(sizes.begin(), sizes.end(), 128U) != sizes.end()) spec.block_size = 128;
    return formats::complete_spec(spec, {});
  }

  void bench_dense(const ProductShape& shape, const HostMatrix& weight, const HostMatrix& x) {
    const auto bytes = std::as_bytes(std::span(weight.values));
    DeviceLinear linear(device_.lane(), shape.n, shape.k, nullptr, dense_path(device_.lane(), {bytes.begin(), bytes.end()}, shape.n, {}));
    const auto row_of = [&](std::uint64_t row) { return weight.row(row); };
    const auto input_of = [&](std::uint64_t row) { return x.row(row); };
    time(linear, {.format = "bf16", .quantized_inputs = false, .method = {}, .shape = shape}, x, input_of, row_of);
  }

  void bench_format(const FormatDescriptor& format, const ProductShape& shape, const HostMatrix& weight, const HostMatrix& x) {
    const QuantSpec spec = spec_of(format);
    if (!format.accepts({"", Dtype::BF16, {shape.n, shape.k}, 0, 0}, spec)) return;
    LinearLayer layer = ops::quantize_layer(*backend_, spec, weight.view());
    for (const bool quantized : {false, true}) {
      if (quantized && !can_quantize_activations(layer)) continue;
      // One scale of all inputs is given, so that rows of them can be looked at alone.
      const float range = format.storage().two_level ? 2688.0F : 448.0F;
      layer.input_scale = x.largest() / range;
      const halftone::Activations activations = quantized ? halftone::Activations::loader : halftone::Activations::plain;
      const auto linear = device_.on_device(layer, activations);
      const formats::StoredMatrix matrix = ops::matrix_of(layer, true);
      const auto row_of = [&](std::uint64_t row) { return weight_row(matrix, row); };
      const auto input_of = [&](std::uint64_t row) {
        std::vector<float> values = x.row(row);
        if (spec.rotation_group != 0) formats::rotate_groups(values.data(), values.size(), spec.rotation_group);
        cpu::round_activations(layer, activations, values.data(), 1);
        return values;
      };
      time(*linear, {.format = std::string(format.name()), .quantized_inputs = quantized, .method = {}, .shape = shape}, x, input_of,
           row_of);
    }
  }

  /// A row of a stored weight, which may begin within a block.
  [[nodiscard]] std::vector<float> weight_row(const formats::StoredMatrix& matrix, std::uint64_t row) const {
    const std::uint64_t before = row % matrix.row_multiple();
    std::vector<float> values((before + 1) * matrix.columns());
    matrix.read(*cpu_, row - before, before + 1, values.data());
    return {values.end() - static_cast<std::ptrdiff_t>(matrix.columns()), values.end()};
  }

  template <class InputOf, class RowOf>
  void time(DeviceLinear& linear, LinearTime result, const HostMatrix& x, const InputOf& input_of, const RowOf& row_of) {
    LinearLane& lane = device_.lane();
    const DeviceBuffer inputs_buffer = uploaded(lane, x.values);
    const DeviceBuffer outputs_buffer(result.shape.m * result.shape.n * sizeof(std::uint16_t), lane.stream());
    const Inputs inputs{inputs_buffer.as<std::uint16_t>(), x.rows, x.columns};
    const Outputs outputs{outputs_buffer.data(), Dtype::BF16};
    linear.launch(inputs, outputs);
    check_outputs(result, outputs_buffer, input_of, row_of);
    result.method = linear.method();
    result.seconds = graph_seconds([&] { linear.launch(inputs, outputs); });
    result.product_seconds = graph_seconds([&] { linear.multiply_again(inputs, outputs); });
    report_(result);
  }

  /// The median time of one of the launches of a graph.
  template <class Work>
  [[nodiscard]] double graph_seconds(const Work& work) {
    const Stream& stream = device_.lane().whole_stream();
    work();  // chooses algorithms and makes room
    stream.synchronize();
    const Graph graph(stream, {}, [&] {
      for (int i = 0; i < options_.repeats; ++i) work();
    });
    std::vector<double> seconds;
    Event begin;
    Event end;
    for (int i = 0; i < kGraphs; ++i) {
      begin.record(stream.get());
      graph.launch(stream);
      end.record(stream.get());
      end.synchronize();
      seconds.push_back(end.seconds_since(begin) / options_.repeats);
    }
    std::nth_element(seconds.begin(), seconds.begin() + kGraphs / 2, seconds.end());
    return seconds[kGraphs / 2];
  }

  /// Compares some outputs with sums in binary64.  What may differ: the rounding of outputs to BF16, half a unit or 2^-9; the
  /// sums of the tensor cores; and where weights are decoded to BF16, 2^-9 of each product, mostly of either sign: all less than
  /// 3e-4 of the sum of magnitudes, while outputs are some hundredths of it.
  template <class InputOf, class RowOf>
  void check_outputs(LinearTime& result, const DeviceBuffer& buffer, const InputOf& input_of, const RowOf& row_of) {
    const ProductShape& shape = result.shape;
    std::vector<std::uint16_t> y(shape.m * shape.n);
    check(cudaMemcpyAsync(y.data(), buffer.data(), y.size() * 2, cudaMemcpyDeviceToHost, device_.lane().stream()), "copy from the device");
    device_.lane().whole_stream().synchronize();
    const std::uint64_t rows = std::min(kSamples, shape.m);
    const std::uint64_t columns = std::min(kSamples, shape.n);
    std::vector<std::vector<float>> weights;
    for (std::uint64_t j = 0; j < columns; ++j) weights.push_back(row_of(sample(j, columns, shape.n)));
    double largest = 0;
    for (std::uint64_t i = 0; i < rows; ++i) {
      const std::uint64_t row = sample(i, rows, shape.m);
      const std::vector<float> input = input_of(row);
      for (std::uint64_t j = 0; j < columns; ++j) {
        double exact = 0;
        double magnitude = 0;
        for (std::uint64_t k = 0; k < shape.k; ++k) {
          const double product = static_cast<double>(input[k]) * static_cast<double>(weights[j][k]);
          exact += product;
          magnitude += std::abs(product);
        }
        const std::uint64_t column = sample(j, columns, shape.n);
        const double found = static_cast<double>(codec::Bf16::decode(y[row * shape.n + column]));
        const double error = std::abs(found - exact);
        if (!(error <= 0.004 * std::abs(exact) + 3e-4 * magnitude)) {
          fail(ErrorKind::internal, "the product of {} ({}{}) differs: output ({}, {}) of {} x {} x {} is {}, not {}; nothing was timed",
               result.format, result.method, result.quantized_inputs ? ", quantized inputs" : "", row, column, shape.m, shape.n, shape.k,
               found, exact);
        }
        largest = std::max(largest, std::abs(exact));
        result.largest_error = std::max(result.largest_error, error);
      }
    }
    if (largest > 0) result.largest_error /= largest;
  }

  /// The i-th of `count` places spread over `n`, the first and the last among them.
  [[nodiscard]] static std::uint64_t sample(std::uint64_t i, std::uint64_t count, std::uint64_t n) {
    return count <= 1 ? 0 : i * (n - 1) / (count - 1);
  }

  static constexpr int kGraphs = 7;

  const LinearBenchOptions& options_;
  const std::function<void(const LinearTime&)>& report_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Backend> cpu_;
  LaneDevice device_;
};

}  // namespace

void bench_linear(int device, const LinearBenchOptions& options, const std::function<void(const LinearTime&)>& report) {
  LinearBench(device, options, report).run();
}

}  // namespace halftone::cuda
