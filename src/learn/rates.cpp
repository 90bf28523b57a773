#include "learn/rates.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <vector>

#include "learn/memory.hpp"
#include "learn/quantized_weight.hpp"

namespace halftone::learn {
namespace {

/// What is timed: enough that it is like the work on a layer, and over within milliseconds.
struct Sample {
  std::uint64_t rows;
  std::uint64_t columns;
  std::uint64_t inner;
  int at_once;  ///< calls that are timed together: a GPU takes the next one while the first is on its way
  int repeats;  ///< of which the shortest counts
};

constexpr Sample kProcessor{128, 1024, 256, 1, 4};
constexpr Sample kGpu{2048, 2048, 1024, 8, 6};  // often enough that some are not held up by layers beside

Sample sample_for(const Engine& engine) { return engine.prefers_products(kGpu.columns) ? kGpu : kProcessor; }

/// Seconds of a call.
double seconds_of(Engine& engine, const Sample& sample, const std::function<void()>& call) {
  double ignored = 0;
  const auto wait = [&] { engine.read_sums({&ignored, 1}); };
  call();  // what is loaded or found the first time
  wait();
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < sample.repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    for (int j = 0; j < sample.at_once; ++j) call();
    wait();
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return least / sample.at_once;
}

}  // namespace

std::uint64_t bytes_of_measuring() noexcept {
  constexpr std::uint64_t matrices = 8;  // of binary32: the weight, its errors, factors and their product, levels and codes
  return matrices * kGpu.rows * kGpu.columns * sizeof(float);
}

Rates measure_rates(Engine& engine) {
  const Sample sample = sample_for(engine);
  Memory memory(engine);
  const Matrix weight = memory.matrix(sample.rows, sample.columns);
  const Matrix factor = memory.matrix(sample.columns, sample.inner);
  const Matrix product = memory.matrix(sample.rows, sample.inner);
  engine.fill_signs(weight, 1);
  engine.fill_signs(factor, 2);
  const auto elements = static_cast<double>(sample.rows * sample.columns);
  Rates rates;
  rates.product = seconds_of(engine, sample, [&] { engine.multiply({.a = weight, .b = factor, .c = product}); }) /
                  (elements * static_cast<double>(sample.inner));
  const QuantSpec spec{.format = &format_named("int8")};
  const formats::LayerLayout layout(spec, sample.rows, sample.columns);
  QuantizedWeight quantized(engine, spec, layout, weight);
  quantized.round_to_nearest(1.0F, {});
  const Layer& layer = quantized.layer();
  auto* levels = memory.array<std::uint8_t>(layer.elements());
  rates.element = seconds_of(engine, sample, [&] { engine.round(weight, {}, weight, layer.grid, levels, layer.errors); }) / elements;
  std::vector<float> host(sample.rows * sample.columns);
  const Sample one_copy{sample.rows, sample.columns, sample.inner, 1, 2};  // long enough by itself
  rates.copy = seconds_of(engine, one_copy, [&] { engine.upload(host.data(), weight.data, host.size() * sizeof(float)); }) / elements;
  rates.wait = seconds_of(engine, {1, 1, 1, 1, 9}, [&] { std::ignore = engine.squared_norm(factor.rows_at(0, 1)); });
  return rates;
}

}  // namespace halftone::learn
