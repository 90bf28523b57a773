#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace halftone {

/// What is timed.
enum class BenchedOps : std::uint8_t {
  all,
  formats,    ///< the kernels of formats and element types
  optimizer,  ///< the steps of the optimizers of learned rounding
};

/// One timed kernel of a GPU.
struct KernelTime {
  /// copy, max_magnitude, quantize, measure+quantize (one scale per tensor: both passes), quantize-small
  /// (1000 weights of 1024 × 1024 as one graph), dequantize, cast, optimizer-step, optimizer-step-whole
  std::string kernel;
  std::string format;       ///< or optimizer; empty for kernels without one
  std::string source;       ///< element type read
  std::string target;       ///< element type written; empty where only figures are
  double seconds = 0;       ///< median of one launch
  std::uint64_t bytes = 0;  ///< necessary: each input read once, each output written once

  /// 10^9 bytes per second.
  [[nodiscard]] double gigabytes_per_second() const { return static_cast<double>(bytes) / seconds * 1e-9; }
};

struct KernelBenchOptions {
  std::string device = "auto";  ///< as RunOptions::device; one GPU is measured
  std::uint64_t rows = 8192;    ///< of the weight, which lies in device memory
  std::uint64_t columns = 8192;
  BenchedOps ops = BenchedOps::all;
  int repeats = 30;  ///< launches of each kernel that are timed
};

/// Times every kernel and calls `report` for each, first for a copy within the device: the limit of
/// the others.  A result is compared with the CPU's before it is timed.
/// Throws usage, device (no GPU), internal (a result that differs).
void bench_kernels(const KernelBenchOptions& options, const std::function<void(const KernelTime&)>& report);

/// A product y = x · weightᵀ: x has `m` rows of `k` elements, the weight `n` rows.
struct ProductShape {
  std::uint64_t m = 0;
  std::uint64_t n = 0;
  std::uint64_t k = 0;
};

/// One timed linear layer of a GPU.
struct LinearTime {
  std::string format;
  bool quantized_inputs = false;  ///< whether the inputs are quantized, too
  std::string method;             ///< Linear::method()
  ProductShape shape;
  double seconds = 0;          ///< BF16 in, BF16 out
  double product_seconds = 0;  ///< without what becomes of the inputs first
  double largest_error = 0;    ///< of the outputs that were compared, as a share of the largest of them

  /// 10^12 operations per second, of which a product of two numbers and a sum are two.
  [[nodiscard]] double teraflops(double time) const {
    return 2e-12 * static_cast<double>(shape.m) * static_cast<double>(shape.n) * static_cast<double>(shape.k) / time;
  }
};

struct LinearBenchOptions {
  std::string device = "auto";       ///< as RunOptions::device; one GPU is measured
  std::vector<std::string> formats;  ///< empty for all
  std::vector<ProductShape> shapes;  ///< at least one
  int repeats = 20;                  ///< launches of a graph that is timed
};

/// Times linear layers whose weights and inputs lie in the memory of a GPU, in graphs of `repeats` launches, the second-level
/// cache warm.  Before that some of the outputs are compared with sums in binary64 over what the codes stand for.
/// Throws usage, device (no GPU), internal (an output that differs).
void bench_linear(const LinearBenchOptions& options, const std::function<void(const LinearTime&)>& report);

}  // namespace halftone
