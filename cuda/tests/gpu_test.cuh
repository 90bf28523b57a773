#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace halftone::test {

/// Throws std::runtime_error with `call` and the error's name and text, unless `status` is success.
void check_cuda(cudaError_t status, const char* call);

#define HALFTONE_TEST_CUDA(call) ::halftone::test::check_cuda((call), #call)

/// Why no kernel of this program can run here; empty where one can.
[[nodiscard]] const std::string& why_no_gpu();

/// HALFTONE_TEST_SEED, or a constant where it is not set.
[[nodiscard]] std::uint64_t test_seed();

/// A test that needs a GPU.  Without one it is skipped with the reason; with HALFTONE_REQUIRE_GPU=1
/// it fails.
class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override;
};

}  // namespace halftone::test
