// Kernels of the CPU backend over buffers larger than any cache, on one core.  Every result is
// checked against the baseline kernels before it is timed; the limit is a plain copy of the
// source's bytes, timed in the same run.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <halftone/codec/half.hpp>

#include "base/checked.hpp"
#include "cpu/cpu_backend.hpp"
#include "exec/candidate_errors.hpp"
#include "formats/layer_layout.hpp"
#include "formats/quant_spec.hpp"

namespace {

using namespace halftone;

constexpr std::uint64_t kRows = 16384;
constexpr std::uint64_t kColumns = 8192;  // 256 MiB of BF16

/// A Gaussian weight in `dtype`.
std::vector<std::byte> make_source(Dtype dtype) {
  const std::uint64_t n = kRows * kColumns;
  std::vector<std::byte> bytes(n * bits_of(dtype) / 8);
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 0.02F);
  std::vector<float> period((1 << 16) + 1);  // odd, so that no two rows are equal
  for (float& value : period) value = normal(random);
  for (std::uint64_t i = 0; i < n; ++i) {
    const float value = period[i % period.size()];
    const std::uint16_t bf16 = codec::Bf16::encode(value);
    const std::uint16_t f16 = codec::F16::encode(value);
    if (dtype == Dtype::BF16) std::memcpy(bytes.data() + 2 * i, &bf16, 2);
    if (dtype == Dtype::F16) std::memcpy(bytes.data() + 2 * i, &f16, 2);
    if (dtype == Dtype::F32) std::memcpy(bytes.data() + 4 * i, &value, 4);
  }
  return bytes;
}

const std::vector<std::byte>& source_of(Dtype dtype) {
  static std::vector<std::byte> kept;
  static Dtype kept_dtype = Dtype::BOOL;
  if (kept_dtype != dtype) {
    kept = make_source(dtype);
    kept_dtype = dtype;
  }
  return kept;
}

template <class Work>
double seconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Seconds of the fastest of a few copies of `source`.
double copy_seconds(const std::vector<std::byte>& source) {
  std::vector<std::byte> target(source.size(), std::byte{1});
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    best = std::min(best, seconds([&] { std::memcpy(target.data(), source.data(), source.size()); }));
    benchmark::DoNotOptimize(target.data());
  }
  return best;
}

struct Result {
  explicit Result(const formats::LayerLayout& layout)
      : codes(layout.code_bytes(layout.rows()), std::byte{1}), scales(layout.scale_bytes(layout.rows())) {}

  std::vector<std::byte> codes;
  std::vector<std::byte> scales;
};

void run(benchmark::State& state, const FormatDescriptor& format, const cpu::KernelTable& kernels, Dtype dtype) {
  const QuantSpec spec = formats::complete_spec({.format = &format}, {});
  const formats::LayerLayout layout(spec, kRows, kColumns);
  const std::vector<std::byte>& source = source_of(dtype);
  const MatrixView view{source.data(), dtype, layout.rows(), layout.columns()};
  const auto backend = cpu::make_backend(kernels);
  const auto baseline = cpu::make_backend(*cpu::usable_kernels().back());
  const float amax = codec::from_bits(baseline->max_magnitude(view));
  Result expected(layout);
  Result found(layout);
  baseline->quantize(spec, view, amax, {expected.codes.data(), expected.scales.data()});
  backend->quantize(spec, view, amax, {found.codes.data(), found.scales.data()});
  if (expected.codes != found.codes || expected.scales != found.scales) return state.SkipWithError("wrong result");
  const double copy = copy_seconds(source);
  double best = 1e9;
  for (auto _ : state) {
    best = std::min(best, seconds([&] { backend->quantize(spec, view, amax, {found.codes.data(), found.scales.data()}); }));
    benchmark::ClobberMemory();
  }
  const auto in_bytes = static_cast<double>(source.size());
  state.counters["in_GB/s"] = in_bytes / best / 1e9;
  state.counters["copy_GB/s"] = in_bytes / copy / 1e9;
  state.counters["%_of_copy"] = 100.0 * copy / best;
}

/// A search for scales over the first rows: what it chooses for the whole weight, then for each group, and the codes.
void run_search(benchmark::State& state, const FormatDescriptor& format, const cpu::KernelTable& kernels, Dtype dtype) {
  constexpr std::uint64_t rows = 512;
  QuantSpec spec = formats::complete_spec({.format = &format}, {});
  spec.scales = ScaleMethod::search;
  const formats::LayerLayout layout(spec, rows, kColumns);
  const MatrixView view{source_of(dtype).data(), dtype, layout.rows(), layout.columns()};
  const auto quantize = [&](const cpu::KernelTable& with, Result& result) {
    const auto backend = cpu::make_backend(with);
    float amax = codec::from_bits(backend->max_magnitude(view));
    if (exec::CandidateErrors::are_needed(spec)) {
      exec::CandidateErrors errors(*backend, spec, amax);
      errors.add(view);
      amax = errors.best_amax();
    }
    backend->quantize(spec, view, amax, {result.codes.data(), result.scales.data()});
  };
  Result expected(layout);
  Result found(layout);
  quantize(*cpu::usable_kernels().back(), expected);
  double best = 1e9;
  for (auto _ : state) best = std::min(best, seconds([&] { quantize(kernels, found); }));
  if (expected.codes != found.codes || expected.scales != found.scales) return state.SkipWithError("wrong result");
  state.counters["in_GB/s"] = static_cast<double>(view.bytes()) / best / 1e9;
}

void run_max(benchmark::State& state, const cpu::KernelTable& kernels, Dtype dtype) {
  const std::vector<std::byte>& source = source_of(dtype);
  const MatrixView view{source.data(), dtype, kRows, kColumns};
  const auto backend = cpu::make_backend(kernels);
  if (backend->max_magnitude(view) != cpu::make_backend(*cpu::usable_kernels().back())->max_magnitude(view)) {
    return state.SkipWithError("wrong result");
  }
  double best = 1e9;
  for (auto _ : state) best = std::min(best, seconds([&] { benchmark::DoNotOptimize(backend->max_magnitude(view)); }));
  state.counters["in_GB/s"] = static_cast<double>(source.size()) / best / 1e9;
  state.counters["%_of_copy"] = 100.0 * copy_seconds(source) / best;
}

}  // namespace

int main(int argc, char** argv) {
  for (const Dtype dtype : {Dtype::BF16, Dtype::F16, Dtype::F32}) {
    for (const cpu::KernelTable* kernels : cpu::usable_kernels()) {
      const std::string suffix = std::string("/") + kernels->instruction_set + "/" + std::string(name_of(dtype));
      benchmark::RegisterBenchmark(("max_magnitude" + suffix).c_str(), [=](benchmark::State& state) { run_max(state, *kernels, dtype); });
      for (const FormatDescriptor* format : all_formats()) {
        benchmark::RegisterBenchmark(("quantize/" + std::string(format->name()) + suffix).c_str(),
                                     [=](benchmark::State& state) { run(state, *format, *kernels, dtype); })
            ->Iterations(5)
            ->Unit(benchmark::kMillisecond);
        if (!can_search_scales(*format)) continue;
        benchmark::RegisterBenchmark(("search/" + std::string(format->name()) + suffix).c_str(),
                                     [=](benchmark::State& state) { run_search(state, *format, *kernels, dtype); })
            ->Iterations(3)
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
