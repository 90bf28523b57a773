#include <halftone/bench.hpp>
#include <halftone/format.hpp>

#include "api/backends.hpp"
#include "base/fail.hpp"
#if HALFTONE_HAS_CUDA
#include "kernel_bench.hpp"
#include "linear_bench.hpp"
#endif

namespace halftone {

void bench_kernels(const KernelBenchOptions& options, [[maybe_unused]] const std::function<void(const KernelTime&)>& report) {
  if (options.device == "cpu") fail(ErrorKind::usage, "bench measures a GPU, not --device cpu");
  [[maybe_unused]] const int gpu = api::gpus_named(options.device).front();
#if HALFTONE_HAS_CUDA
  cuda::bench_kernels(gpu, options, report);
#endif
}

void bench_linear(const LinearBenchOptions& options, [[maybe_unused]] const std::function<void(const LinearTime&)>& report) {
  if (options.device == "cpu") fail(ErrorKind::usage, "bench measures a GPU, not --device cpu");
  for (const std::string& format : options.formats) (void)format_named(format);
  [[maybe_unused]] const int gpu = api::gpus_named(options.device).front();
#if HALFTONE_HAS_CUDA
  cuda::bench_linear(gpu, options, report);
#endif
}

}  // namespace halftone
