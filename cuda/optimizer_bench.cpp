#include "optimizer_bench.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "cpu/learn/optimizer_steps.hpp"
#include "optimizer_runs.hpp"

namespace halftone::cuda {
namespace {

/// What is known of an optimizer without its type.
struct Facts {
  std::string_view name;
  Optimizer optimizer;
  bool is_elementwise;
};

constexpr Facts kOptimizers[] = {
#define HALFTONE_OPTIMIZER(name, type, summary) {#name, Optimizer::name, learn::type::kElementwise},
#include <halftone/optimizer.def>
#undef HALFTONE_OPTIMIZER
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
std::uint64_t necessary_bytes(const Facts& facts, std::uint64_t rows, std::uint64_t columns, bool gives_errors) {
  const std::uint64_t n = rows * columns;
  const std::uint64_t both_ways = 1 + static_cast<unsigned>(learn::matrices_of_moments(facts.optimizer, rows, columns));
  const std::uint64_t sampled = learn::sampled_elements(facts.optimizer, n);
  return n * 2 * sizeof(__half) + (n * (2 * both_ways + (gives_errors ? 1 : 0)) + 2 * sampled) * sizeof(float);
}

/// Bytes of two steps of Prodigy that move offsets and moments once, 30 an element and those of sampled elements: the moments
/// are read once more, and the first gradient is read again.  Steps that are made one by one need 20 each.
std::uint64_t bytes_of_pair(std::uint64_t n) {
  const std::uint64_t sampled = n / learn::Prodigy::kSampling;
  const std::uint64_t first = n * (sizeof(float) + 2 * sizeof(__half)) + 4 * sampled * sizeof(float);
  const std::uint64_t second = n * (4 * sizeof(float) + 3 * sizeof(__half)) + 3 * sampled * sizeof(float);
  return first + second;
}

/// Prodigy's other steps than those of its loop with products of binary16.
constexpr const char* kWholeStep = "optimizer-step-whole";

void bench(const BenchTools& tools, const Facts& facts, std::uint64_t rows, std::uint64_t columns) {
  HostRun host(facts.optimizer, rows, columns);
  cpu::advance(host.run, 1.0);
  const DeviceRun device(tools, host);
  const std::uint64_t n = rows * columns;
  const char* name = can_lag(device.run) ? kWholeStep : "optimizer-step";
  cpu::optimizer_step(host.run);
  device.step();
  BenchTools::require(are_near(device.read(device.run.offsets[1], n), host.next), name, facts.name, Dtype::F16);
  tools.report(
      {name, std::string(facts.name), "F16", "F16", tools.time([&] { device.step(); }), necessary_bytes(facts, rows, columns, true)});
}

/// The mean step of a pair, where Prodigy can lag.  Its time is reported twice: with the bytes that steps need which are taken
/// one by one, as other optimizers take them, so that a pair can be faster than a copy; and with those that a pair moves.
constexpr const char* kStepOfPair = "optimizer-step-moved";

/// What the first step finds, the second one moves.
void bench_lagged(const BenchTools& tools, const Facts& facts, std::uint64_t rows, std::uint64_t columns) {
  HostRun host(facts.optimizer, rows, columns);
  std::fill(host.first.begin(), host.first.end(), 0.0F);  // there is no step before the first
  cpu::advance(host.run, 1.0);
  const DeviceRun device(tools, host);
  const std::uint64_t n = rows * columns;
  if (!can_lag(device.run)) return;
  cpu::optimizer_step(host.run);
  device.first_step();
  device.set_iterations(host.state, host.state.iterations + 1);
  device.second_step();
  const auto found = device.read(device.run.offsets[host.state.slot], n);
  BenchTools::require(are_near(found, host.next), "optimizer-step", facts.name, Dtype::F16);
  const double seconds = tools.time([&] {
    device.first_step();
    device.second_step();
  }) / 2;
  tools.report({"optimizer-step", std::string(facts.name), "F16", "F16", seconds, necessary_bytes(facts, rows, columns, false)});
  tools.report({kStepOfPair, std::string(facts.name), "F16", "F16", seconds, bytes_of_pair(n) / 2});
}

}  // namespace

void bench_optimizers(const BenchTools& tools, std::uint64_t rows, std::uint64_t columns) {
  for (const Facts& facts : kOptimizers) {
    bench(tools, facts, std::min(rows, kMost), std::min(columns, kMost));
    if (!facts.is_elementwise) bench_lagged(tools, facts, std::min(rows, kMost), std::min(columns, kMost));
  }
}

}  // namespace halftone::cuda
