#include "optimizer_bench.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>

#include <halftone/codec/half.hpp>

#include "cpu/learn/optimizer_steps.hpp"
#include "learn/exchange.hpp"

namespace halftone::cuda {
namespace {

using learn::OptimizerRun;

/// What is known of an optimizer without its type.
struct Facts {
  std::string_view name;
  Optimizer optimizer;
  int moments;  ///< that are matrices, of a weight of this size
};

constexpr Facts kOptimizers[] = {
#define HALFTONE_OPTIMIZER(name, type, summary) {#name, Optimizer::name, learn::type::kElementwise ? learn::type::kMoments : 1},
#include <halftone/optimizer.def>
#undef HALFTONE_OPTIMIZER
};

/// The arrays of a run in the memory of the host, with random gradients and moments.
class HostRun {
 public:
  HostRun(const Facts& facts, std::uint64_t rows, std::uint64_t columns)
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
    run.optimizer = facts.optimizer;
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
    cpu::advance(run, 1.0);
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
  void lagged_step() const { launch_lagged_step(run, exchange, tools_.stream.get()); }
  /// Tells the loop's state that `iterations` have begun.
  void set_iterations(learn::LoopState state, std::uint32_t iterations) const {
    state.iterations = iterations;
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
};

/// Rows and columns, at most: the CPU that the results are compared with takes its time.
constexpr std::uint64_t kMost = 4096;

/// Whether the way of each element is that of the CPU, but for roundings, which are small against the longest way.
bool are_near(const std::vector<float>& found, const std::vector<float>& expected) {
  float longest = 0;
  for (const float value : expected) longest = std::max(longest, std::fabs(value));
  if (!(longest > 0.0F)) return false;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!(std::fabs(found[i] - expected[i]) <= 1e-5F * longest)) return false;
  }
  return true;
}

/// Bytes that an iteration must read and write at least: the gradient and what becomes of the errors, in binary16, offsets
/// and moments both ways, the first errors where errors are given back whole, and Prodigy's decayed sums of some elements
/// both ways.  Prodigy's second moments need the whole gradient before the step does, but it may be in a cache by then.
std::uint64_t necessary_bytes(const Facts& facts, std::uint64_t n, bool gives_errors) {
  const std::uint64_t both_ways = 1 + static_cast<unsigned>(facts.moments);
  const std::uint64_t sampled = facts.optimizer == Optimizer::prodigy ? n / learn::Prodigy::kSampling : 0;
  return n * 2 * sizeof(__half) + (n * (2 * both_ways + (gives_errors ? 1 : 0)) + 2 * sampled) * sizeof(float);
}

/// Prodigy's other steps than those of its loop with products of binary16.
constexpr const char* kWholeStep = "optimizer-step-whole";

void bench(const BenchTools& tools, const Facts& facts, std::uint64_t rows, std::uint64_t columns) {
  HostRun host(facts, rows, columns);
  const DeviceRun device(tools, host);
  const std::uint64_t n = rows * columns;
  const char* name = can_lag(device.run) ? kWholeStep : "optimizer-step";
  cpu::optimizer_step(host.run);
  device.step();
  BenchTools::require(are_near(device.read(device.run.offsets[1], n), host.next), name, facts.name, Dtype::F16);
  tools.report({name, std::string(facts.name), "F16", "F16", tools.time([&] { device.step(); }), necessary_bytes(facts, n, true)});
}

/// Prodigy as it is carried out where it can lag: what the first step finds, the second one moves.
void bench_lagged(const BenchTools& tools, const Facts& facts, std::uint64_t rows, std::uint64_t columns) {
  HostRun host(facts, rows, columns);
  std::fill(host.first.begin(), host.first.end(), 0.0F);  // there is no step before the first
  const DeviceRun device(tools, host);
  const std::uint64_t n = rows * columns;
  if (!can_lag(device.run)) return;
  cpu::optimizer_step(host.run);
  device.lagged_step();
  device.set_iterations(host.state, host.state.iterations + 1);
  device.lagged_step();
  const auto found = device.read(device.run.offsets[host.state.slot], n);
  BenchTools::require(are_near(found, host.next), "optimizer-step", facts.name, Dtype::F16);
  tools.report({"optimizer-step", std::string(facts.name), "F16", "F16", tools.time([&] { device.lagged_step(); }),
                necessary_bytes(facts, n, false)});
}

}  // namespace

void bench_optimizers(const BenchTools& tools, std::uint64_t rows, std::uint64_t columns) {
  for (const Facts& facts : kOptimizers) {
    bench(tools, facts, std::min(rows, kMost), std::min(columns, kMost));
    if (facts.optimizer == Optimizer::prodigy) bench_lagged(tools, facts, std::min(rows, kMost), std::min(columns, kMost));
  }
}

}  // namespace halftone::cuda
