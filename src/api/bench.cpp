#include <halftone/bench.hpp>

#include "api/backends.hpp"
#include "base/fail.hpp"
#if HALFTONE_HAS_CUDA
#include "kernel_bench.hpp"
#endif

namespace halftone {

void bench_kernels(const KernelBenchOptions& options, [[maybe_unused]] const std::function<void(const KernelTime&)>& report) {
  if (options.device == "cpu") fail(ErrorKind::usage, "bench measures a GPU, not --device cpu");
  [[maybe_unused]] const int gpu = api::gpus_named(options.device).front();
#if HALFTONE_HAS_CUDA
  cuda::bench_kernels(gpu, options, report);
#endif
}

}  // namespace halftone
