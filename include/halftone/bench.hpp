#pragma once

#include <cstdint>
#include <functional>
#include <string>

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
  /// (1000 weights of 1024 × 1024 as one graph), dequantize, cast, optimizer-step
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

}  // namespace halftone
