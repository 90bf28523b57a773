#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <halftone/codec/hd.hpp>

#include "base/parallel.hpp"
#include "gpu_test.cuh"

// A sweep evaluates one function on the device and on the host for every index of a range and
// compares the results as integers.  The function is an object of a type with
//
//   using Result = <unsigned integer>;
//   HALFTONE_HD Result operator()(std::uint64_t index) const;
//   std::string describe(std::uint64_t index) const;    // the inputs behind an index
namespace halftone::test {

inline constexpr std::uint64_t kEveryFloat = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kEveryHalf = std::uint64_t{1} << 16;
inline constexpr std::uint64_t kEveryCode = std::uint64_t{1} << 8;

/// Results on their way from the device at one time; both sides hold as many bytes.
inline constexpr std::uint64_t kChunkBytes = std::uint64_t{1} << 27;
/// Results that one host thread computes before it compares them: at most half of an L1 cache.
inline constexpr std::uint64_t kBlockBytes = std::uint64_t{1} << 14;

/// 64 random bits for every pair of arguments (SplitMix64).
[[nodiscard]] HALFTONE_HD std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t x = seed + (index + 1) * 0x9E37'79B9'7F4A'7C15U;
  x = (x ^ (x >> 30)) * 0xBF58'476D'1CE4'E5B9U;
  x = (x ^ (x >> 27)) * 0x94D0'49BB'1331'11EBU;
  return x ^ (x >> 31);
}

[[nodiscard]] HALFTONE_HD bool is_nan(float value) { return codec::bits(codec::magnitude(value)) > codec::kInfinityBits; }

/// `value`, or zero for NaN: for functions that take no NaN.
[[nodiscard]] HALFTONE_HD float zero_if_nan(float value) { return is_nan(value) ? 0.0F : value; }

/// The bits of `value`, the same for every NaN: arithmetic gives 0x7FFFFFFF on the device and keeps
/// sign and payload of an operand on the host.
[[nodiscard]] HALFTONE_HD std::uint32_t bits_or_nan(float value) { return is_nan(value) ? 0x7FC0'0000U : codec::bits(value); }

/// "0x3F800000 (1)".
[[nodiscard]] inline std::string show(float value) {
  char text[48];
  std::snprintf(text, sizeof text, "0x%08X (%.9g)", codec::bits(value), static_cast<double>(value));
  return text;
}

/// Base of functions of a binary32, indexed by its bit pattern.
struct OfFloat {
  [[nodiscard]] static HALFTONE_HD float value(std::uint64_t pattern) { return codec::from_bits(static_cast<std::uint32_t>(pattern)); }
  [[nodiscard]] std::string describe(std::uint64_t pattern) const { return show(value(pattern)); }
};

template <class Function>
__global__ void evaluate(Function function, std::uint64_t first, std::uint64_t n, typename Function::Result* results) {
  const std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) results[i] = function(first + i);
}

/// The differences of one sweep; add() may be called by many threads.
class Differences {
 public:
  void add(std::uint64_t count, std::uint64_t index, std::uint64_t device, std::uint64_t host) {
    const std::lock_guard lock(mutex_);
    if (count_ == 0 || index < first_) {
      first_ = index;
      device_ = device;
      host_ = host;
    }
    count_ += count;
  }

  template <class Function>
  [[nodiscard]] ::testing::AssertionResult verdict(const Function& function, std::uint64_t n) const {
    if (count_ == 0) return ::testing::AssertionSuccess();
    const int digits = 2 * static_cast<int>(sizeof(typename Function::Result));
    char text[80];
    std::snprintf(text, sizeof text, "device 0x%0*llX, host 0x%0*llX", digits, static_cast<unsigned long long>(device_), digits,
                  static_cast<unsigned long long>(host_));
    return ::testing::AssertionFailure() << count_ << " of " << n << " results differ, the first at index " << first_ << ": "
                                         << function.describe(first_) << ": " << text;
  }

 private:
  std::mutex mutex_;
  std::uint64_t count_ = 0;
  std::uint64_t first_ = 0;
  std::uint64_t device_ = 0;
  std::uint64_t host_ = 0;
};

/// Computes the results from `first` on with the host and compares them with `n` of the device.
template <class Function>
void compare_block(const Function& function, std::uint64_t first, std::uint64_t n, const typename Function::Result* device,
                   Differences& differences) {
  using Result = typename Function::Result;
  alignas(64) Result host[kBlockBytes / sizeof(Result)];
  for (std::uint64_t i = 0; i < n; ++i) host[i] = function(first + i);
  if (std::memcmp(host, device, n * sizeof(Result)) == 0) return;
  std::uint64_t count = 0;
  for (std::uint64_t i = 0; i < n; ++i) count += host[i] != device[i] ? 1U : 0U;
  const auto at = static_cast<std::uint64_t>(std::mismatch(host, host + n, device).first - host);
  differences.add(count, first + at, device[at], host[at]);
}

struct FreeDevice {
  void operator()(void* memory) const noexcept { (void)cudaFree(memory); }
};
struct FreePinned {
  void operator()(void* memory) const noexcept { (void)cudaFreeHost(memory); }
};

/// Whether `function` gives the same bits on the device and on the host for every index below `n`;
/// a failure names the first index that differs, its inputs and both results.
template <class Function>
[[nodiscard]] ::testing::AssertionResult same_on_device(const Function& function, std::uint64_t n) {
  using Result = typename Function::Result;
  constexpr std::uint64_t block = kBlockBytes / sizeof(Result);
  constexpr unsigned threads_per_block = 256;
  const std::uint64_t chunk = std::min(n, kChunkBytes / sizeof(Result));

  void* memory = nullptr;
  HALFTONE_TEST_CUDA(cudaMalloc(&memory, chunk * sizeof(Result)));
  const std::unique_ptr<Result, FreeDevice> results(static_cast<Result*>(memory));
  HALFTONE_TEST_CUDA(cudaMallocHost(&memory, chunk * sizeof(Result)));
  const std::unique_ptr<Result, FreePinned> copied(static_cast<Result*>(memory));

  Differences differences;
  for (std::uint64_t first = 0; first < n; first += chunk) {
    const std::uint64_t count = std::min(chunk, n - first);
    const auto blocks = static_cast<unsigned>((count + threads_per_block - 1) / threads_per_block);
    evaluate<<<blocks, threads_per_block>>>(function, first, count, results.get());
    HALFTONE_TEST_CUDA(cudaGetLastError());
    HALFTONE_TEST_CUDA(cudaMemcpy(copied.get(), results.get(), count * sizeof(Result), cudaMemcpyDeviceToHost));
    base::parallel_for((count + block - 1) / block, std::thread::hardware_concurrency(), [&](std::uint64_t b) {
      const std::uint64_t begin = b * block;
      compare_block(function, first + begin, std::min(block, count - begin), copied.get() + begin, differences);
    });
  }
  return differences.verdict(function, n);
}

}  // namespace halftone::test
