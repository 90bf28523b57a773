#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <halftone/codec/half.hpp>

#include "bench_tools.hpp"
#include "learn/exchange.hpp"

namespace halftone::cuda {

// Runs of optimizers over random gradients, on the host and the same on a device, for benchmarks and tests.

using learn::OptimizerRun;

/// The arrays of a run in the memory of the host, with random gradients and moments, before its first iteration.
class HostRun {
 public:
  HostRun(Optimizer optimizer, std::uint64_t rows, std::uint64_t columns)
      : scales(rows, 0x1p-9F),
        groups(columns),
        start(rows * columns),
        first_errors(rows * columns),
        gradient(rows * columns),
        errors(rows * columns),
        offsets(rows * columns),
        next(rows * columns),
        first(rows * columns),
        second(rows * columns),
        row_moments(rows),
        column_moments(columns),
        decayed(rows * columns / learn::Prodigy::kSampling + 1),
        sampled(decayed.size()) {
    fill(first_errors, 1e-4F, 1);
    fill(gradient, 1.0F, 2);
    fill(first, 1e-8F, 3);
    fill(second, 1e-8F, 4);
    for (float& moment : second) moment = std::fabs(moment);
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] = codec::F16::decode(codec::F16::encode(gradient[i]));
    run.optimizer = optimizer;
    run.schedule = learn::schedule_for({}, rows, columns);
    run.weight = {nullptr, rows, columns, columns};
    run.levels = start.data();
    run.grid = {&levels, scales.data(), 1, groups.data()};
    run.first_errors = first_errors.data();
    run.gradient = {gradient.data(), rows, columns, columns};
    run.errors = {errors.data(), rows, columns, columns};
    run.offsets[0] = offsets.data();
    run.offsets[1] = next.data();
    run.moments[0] = first.data();
    run.moments[1] = second.data();
    run.row_moments = row_moments.data();
    run.column_moments = column_moments.data();
    run.decayed_sums = decayed.data();
    run.sampled = sampled.data();
    state = learn::first_state(run.schedule);
    run.state = &state;
    run.scalars = scalars.data();
  }
  HostRun(const HostRun&) = delete;
  HostRun& operator=(const HostRun&) = delete;

  OptimizerRun run;
  learn::LoopState state;
  learn::Levels levels{};
  std::vector<float> scales;
  std::vector<std::uint32_t> groups;
  std::vector<std::uint8_t> start;
  std::vector<float> first_errors, gradient, errors, offsets, next, first, second, row_moments, column_moments, decayed, sampled;
  alignas(std::max_align_t) std::array<std::byte, learn::kScalarBytes> scalars{};

 private:
  static void fill(std::vector<float>& values, float size, std::uint64_t seed) {
    std::uint64_t state = seed * 0x9E37'79B9'7F4A'7C15U;
    for (float& value : values) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      value = (static_cast<float>(state >> 40) * 0x1p-23F - 1.0F) * size;
    }
  }
};

/// The same on the device.
class DeviceRun {
 public:
  DeviceRun(const BenchTools& tools, const HostRun& host) : tools_(tools), run(host.run) {
    const std::uint64_t n = host.gradient.size();
    std::vector<std::uint16_t> halves(n);
    for (std::size_t i = 0; i < n; ++i) halves[i] = static_cast<std::uint16_t>(codec::F16::encode(host.gradient[i]));
    former_gradient = put<__half>(halves);
    exchange = {.gradient = put<__half>(halves), .errors = make<__half>(n), .is_normalised = true, .error_factor = kErrorFactor};
    run.levels = put<std::uint8_t>(host.start);
    run.grid = {put<learn::Levels>(std::span(&host.levels, 1)), put<float>(host.scales), 1, put<std::uint32_t>(host.groups)};
    run.first_errors = put<float>(host.first_errors);
    run.offsets[0] = put<float>(host.offsets);
    run.offsets[1] = put<float>(host.next);
    run.moments[0] = put<float>(host.first);
    run.moments[1] = put<float>(host.second);
    run.row_moments = put<float>(host.row_moments);
    run.column_moments = put<float>(host.column_moments);
    run.decayed_sums = put<float>(host.decayed);
    run.sampled = put<float>(host.sampled);
    run.state = put<learn::LoopState>(std::span(&host.state, 1));
    run.scalars = put<std::byte>(host.scalars);
    const std::uint64_t scratch = learn::scratch_elements(run.weight.rows, run.weight.columns);
    run.scratch = make<double>(scratch);
    check(cudaMemsetAsync(run.scratch, 0, scratch * sizeof(double), tools.stream.get()), "clear device memory");
  }

  void step() const { launch_optimizer_step(run, exchange, tools_.stream.get()); }
  void first_step() const { launch_first_step(run, exchange, tools_.stream.get()); }
  void second_step() const { launch_second_step(run, exchange, former_gradient, tools_.stream.get()); }
  /// Tells the loop's state that `iterations` have begun, each of them the best so far.
  void set_iterations(learn::LoopState state, std::uint32_t iterations) const {
    state.iterations = iterations;
    state.best_iteration = iterations;
    check(cudaMemcpyAsync(run.state, &state, sizeof state, cudaMemcpyHostToDevice, tools_.stream.get()), "copy to the device");
    tools_.stream.synchronize();
  }
  [[nodiscard]] std::vector<float> read(const float* data, std::uint64_t n) const {
    std::vector<float> values(n);
    check(cudaMemcpyAsync(values.data(), data, n * sizeof(float), cudaMemcpyDeviceToHost, tools_.stream.get()), "copy from the device");
    tools_.stream.synchronize();
    return values;
  }

  static constexpr float kErrorFactor = 0x1p10F;

 private:
  template <class T>
  [[nodiscard]] T* make(std::uint64_t n) {
    buffers_.push_back(tools_.make(n * sizeof(T)));
    return buffers_.back().template as<T>();
  }
  template <class T>
  [[nodiscard]] T* put(const auto& array) {
    const auto bytes = std::as_bytes(std::span(array));
    buffers_.push_back(tools_.upload({bytes.begin(), bytes.end()}));
    return buffers_.back().template as<T>();
  }

  const BenchTools& tools_;
  std::vector<DeviceBuffer> buffers_;

 public:
  OptimizerRun run;
  Exchange<__half> exchange;
  const __half* former_gradient;
};

}  // namespace halftone::cuda
