#include "gpu_test.cuh"

#include <cstdlib>
#include <stdexcept>

static_assert(__cplusplus >= 202002L, "CMake 3.25 drops CUDA_STANDARD 20 for nvcc 13: pass -std=c++20");

namespace halftone::test {
namespace {

__global__ void probe() {}

std::string describe(cudaError_t status) { return std::string(cudaGetErrorName(status)) + " (" + cudaGetErrorString(status) + ")"; }

std::string find_obstacle() {
  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) return "no usable GPU: " + describe(status);
  if (count == 0) return "no GPU";
  cudaFuncAttributes attributes{};
  status = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(probe));
  if (status != cudaSuccess) return "the GPU cannot run this build: " + describe(status);
  return {};
}

}  // namespace

void check_cuda(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // or the next launch would report this error once more
  throw std::runtime_error(std::string(call) + ": " + describe(status));
}

const std::string& why_no_gpu() {
  static const std::string reason = find_obstacle();
  return reason;
}

std::uint64_t test_seed() {
  const char* text = std::getenv("HALFTONE_TEST_SEED");
  return text == nullptr ? 20260701 : std::stoull(text);
}

void GpuTest::SetUp() {
  if (why_no_gpu().empty()) return;
  const char* required = std::getenv("HALFTONE_REQUIRE_GPU");
  if (required != nullptr && std::string(required) == "1") FAIL() << why_no_gpu();
  GTEST_SKIP() << why_no_gpu();
}

}  // namespace halftone::test
