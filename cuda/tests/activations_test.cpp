// Quantized activations against the same chain of operations on the host.
#include <halftone/codec/half.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "formats/fp8_block/format.hpp"
#include "formats/int8_block/format.hpp"
#include "gpu_test.cuh"
#include "linear/activation_launches.hpp"
#include "matmul/quantize_activations.hpp"
#include "runtime/device_buffer.hpp"
#include "runtime/stream.hpp"

namespace halftone::test {
namespace {

using namespace halftone::cuda;
using cuda::Activations;  // not those of linear.hpp

class ActivationsOnGpu : public GpuTest {};

struct Quantized {
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;
};

using Launch = void (*)(const Activations&, float*, cudaStream_t);

constexpr std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

/// Rows of BF16.
struct Input {
  std::uint64_t rows;
  std::uint64_t columns;
  std::vector<std::uint16_t> x;

  [[nodiscard]] float value(std::uint64_t row, std::uint64_t column) const { return codec::Bf16::decode(x[row * columns + column]); }
  [[nodiscard]] std::uint64_t pitch() const { return divide_up(columns, kCodeAlignment) * kCodeAlignment; }
};

/// Rows of magnitudes that differ widely; one of zeros, one of subnormals, one with a NaN, one with its maximum twice.
Input make_input(std::uint64_t rows, std::uint64_t columns) {
  std::mt19937_64 random(test_seed());
  std::normal_distribution<float> normal;
  Input input{rows, columns, std::vector<std::uint16_t>(rows * columns)};
  for (std::uint64_t row = 0; row < rows; ++row) {
    const float size = row == 1 ? 0.0F : row == 2 ? 0x1p-130F : std::exp2(static_cast<float>(row % 40) - 20.0F);
    for (std::uint64_t column = 0; column < columns; ++column) input.x[row * columns + column] = codec::Bf16::encode(normal(random) * size);
  }
  if (rows > 3) input.x[3 * columns + columns / 2] = codec::Bf16::encode(std::numeric_limits<float>::quiet_NaN());
  return input;
}

Quantized on_device(Launch launch, const Input& input, std::uint64_t n_scales) {
  const Stream stream;
  const std::uint64_t n_codes = input.rows * input.pitch();
  DeviceBuffer x(input.x.size() * 2, stream.get());
  DeviceBuffer codes(n_codes, stream.get());
  DeviceBuffer scales(n_scales * sizeof(float), stream.get());
  Quantized found{std::vector<std::uint8_t>(n_codes), std::vector<float>(n_scales)};
  HALFTONE_TEST_CUDA(cudaMemcpyAsync(x.data(), input.x.data(), input.x.size() * 2, cudaMemcpyHostToDevice, stream.get()));
  HALFTONE_TEST_CUDA(cudaMemsetAsync(codes.data(), 0xAB, n_codes, stream.get()));
  launch({x.as<std::uint16_t>(), input.rows, input.columns, codes.as<std::uint8_t>(), input.pitch()}, scales.as<float>(), stream.get());
  HALFTONE_TEST_CUDA(cudaMemcpyAsync(found.codes.data(), codes.data(), n_codes, cudaMemcpyDeviceToHost, stream.get()));
  HALFTONE_TEST_CUDA(cudaMemcpyAsync(found.scales.data(), scales.data(), n_scales * sizeof(float), cudaMemcpyDeviceToHost, stream.get()));
  HALFTONE_TEST_CUDA(cudaStreamSynchronize(stream.get()));
  return found;
}

/// The largest magnitude of a part of a row, or NaN where one is in it.
float largest(const Input& input, std::uint64_t row, std::uint64_t from, std::uint64_t to) {
  float amax = 0;
  for (std::uint64_t column = from; column < to; ++column) {
    const float magnitude = std::fabs(input.value(row, column));
    if (std::isnan(magnitude)) return magnitude;
    amax = std::max(amax, magnitude);
  }
  return amax;
}

/// Holds groups of `group` elements of each row to `scale_of` and `encode`.
template <class ScaleOf, class Encode>
void expect_groups(const Quantized& found, const Input& input, std::uint64_t group, const ScaleOf& scale_of, const Encode& encode) {
  for (std::uint64_t row = 0; row < input.rows; ++row) {
    for (std::uint64_t from = 0; from < input.columns; from += group) {
      const std::uint64_t to = std::min(input.columns, from + group);
      const float amax = largest(input, row, from, to);
      const float scale = found.scales[from / group * input.rows + row];
      if (std::isnan(amax)) {
        ASSERT_TRUE(std::isnan(scale)) << "row " << row;
        continue;
      }
      ASSERT_EQ(scale, scale_of(amax)) << "row " << row << ", column " << from;
      for (std::uint64_t column = from; column < to; ++column) {
        ASSERT_EQ(found.codes[row * input.pitch() + column], encode(input.value(row, column), amax))
            << "row " << row << ", column " << column;
      }
    }
    for (std::uint64_t column = input.columns; column < input.pitch(); ++column) ASSERT_EQ(found.codes[row * input.pitch() + column], 0);
  }
}

// Whole vectors and not, one run and many, more than a block keeps in registers.
constexpr std::uint64_t kColumns[] = {1, 16, 100, 128, 133, 3072, 40000};

void quantize_rows(const Activations& a, float* scales, cudaStream_t stream) {
  DeviceBuffer unused(sizeof(std::uint32_t), stream);
  HALFTONE_TEST_CUDA(cudaMemsetAsync(unused.data(), 0, sizeof(std::uint32_t), stream));
  launch_int8_rows({a.x, a.rows, a.columns}, 0, false, nullptr, a.codes, scales, unused.as<std::uint32_t>(), stream);
}

TEST_F(ActivationsOnGpu, Rows_have_the_codes_of_the_host) {
  for (const std::uint64_t columns : kColumns) {
    if (columns % kCodeAlignment != 0) continue;  // rows of codes have no gaps there
    SCOPED_TRACE(columns);
    Input input = make_input(50, columns);
    input.x[3 * columns + columns / 2] = 0;  // no NaN
    const auto scale_of = [](float amax) { return std::max(amax / 127.0F, 1e-30F); };
    expect_groups(on_device(quantize_rows, input, input.rows), input, columns, scale_of, [&](float value, float amax) {
      return static_cast<std::uint8_t>(static_cast<std::int8_t>(std::nearbyint(value / scale_of(amax))));
    });
  }
}

template <class Format>
void check_runs(Launch launch) {
  for (const std::uint64_t columns : kColumns) {
    SCOPED_TRACE(columns);
    const Input input = make_input(50, columns);
    expect_groups(
        on_device(launch, input, input.rows * divide_up(columns, kScaleBlock)), input, kScaleBlock,
        [](float amax) { return Format::scale_from_amax(amax).stored; },
        [](float value, float amax) { return static_cast<std::uint8_t>(Format::encode(value, Format::scale_from_amax(amax).encode)); });
  }
}

TEST_F(ActivationsOnGpu, Runs_of_INT8_have_the_codes_of_the_host) { check_runs<formats::int8_block::Format>(launch_quantize_runs_int8); }
TEST_F(ActivationsOnGpu, Runs_of_FP8_have_the_codes_of_the_host) { check_runs<formats::fp8_block::Format>(launch_quantize_runs_fp8); }

}  // namespace
}  // namespace halftone::test
