// Checks and times tiles of the matrix products on a GPU of compute capability 9.0: halftone_gemm_timing [FILTER [SHAPE]], where
// a variant is timed if FILTER is in its name, and SHAPE is the place of a shape in the list below.  It is for finding the tiles
// that the library then has.
#include <cuda_runtime.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "matmul/block_gemm.hpp"
#include "matmul/block_scales.cuh"
#include "matmul/gemm_launch.cuh"
#include "matmul/int8_gemm.hpp"
#include "matmul/quantize_activations.hpp"
#include "matmul/row_scales.cuh"
#include "problem.cuh"
#include "runtime/event.hpp"
#include "runtime/graph.hpp"
#include "runtime/stream.hpp"

namespace halftone::cuda {
namespace {

using namespace matmul;

/// One kernel with its tile.
struct Variant {
  std::string name;
  Scales scales;
  CodeKind codes;
  std::function<void(const Problem&, cudaStream_t)> launch;
};

template <class Tile>
std::string name_of(const char* kind) {
  char text[96];
  std::snprintf(text, sizeof text, "%s %3dx%-3d part %3d stages %d", kind, Tile::kRows, Tile::kColumns, Tile::kPartColumns, Tile::kStages);
  return text;
}

template <class Tile>
Variant rows() {
  return {name_of<Tile>("int8-rows"), Scales::rows, CodeKind::int8, [](const Problem& p, cudaStream_t stream) {
            launch_gemm<Tile, ScaledRows<Tile>>(p.matrices(), {{p.x_scales, true}, {p.w_scales, true}, p.bias}, stream);
          }};
}

/// What callers of the library get; with Scales::none it is not compared.
Variant library(const char* name, Scales scales, CodeKind kind, void (*launch)(const Problem&, cudaStream_t)) {
  return {name, scales, kind, launch};
}

template <class Tile>
Variant blocks(CodeKind kind) {
  return {name_of<Tile>(kind == CodeKind::int8 ? "int8-blocks" : "fp8-blocks"), Scales::blocks, kind,
          [](const Problem& p, cudaStream_t stream) {
            launch_gemm<Tile, ScaledBlocks<Tile>>(p.matrices(), {{p.x_scales, 1, p.shape.m}, p.w_scales, p.bias}, stream);
          }};
}

template <class Codes>
void add_blocks(std::vector<Variant>& list, CodeKind kind) {
  list.push_back(blocks<Tile<Codes, 64, 256, 128, 4>>(kind));
  list.push_back(blocks<Tile<Codes, 128, 128, 128, 4>>(kind));
  list.push_back(blocks<Tile<Codes, 64, 192, 192, 5>>(kind));
  list.push_back(blocks<Tile<Codes, 64, 128, 128, 6>>(kind));
  list.push_back(blocks<Tile<Codes, 64, 64, 64, 8>>(kind));
}

std::vector<Variant> variants() {
  std::vector<Variant> list;
  list.push_back(rows<Tile<Int8Codes, 64, 256, 256, 4>>());
  list.push_back(rows<Tile<Int8Codes, 128, 128, 128, 4>>());
  list.push_back(rows<Tile<Int8Codes, 64, 192, 192, 5>>());
  list.push_back(rows<Tile<Int8Codes, 64, 128, 128, 6>>());
  list.push_back(rows<Tile<Int8Codes, 64, 64, 64, 8>>());
  list.push_back(library("int8-rows of the library", Scales::rows, CodeKind::int8,
                         [](const Problem& p, cudaStream_t stream) { launch_int8_gemm(p.int8(p.codes(), p.x_scales), stream); }));
  list.push_back(library("int8-linear of the library", Scales::none, CodeKind::int8, [](const Problem& p, cudaStream_t stream) {
    launch_quantize_rows_int8(p.to_quantize(), p.other_scales, stream);
    launch_int8_gemm(p.int8(p.other_codes, p.other_scales), stream);
  }));
  list.push_back(library("quantize rows int8", Scales::none, CodeKind::int8, [](const Problem& p, cudaStream_t stream) {
    launch_quantize_rows_int8(p.to_quantize(), p.other_scales, stream);
  }));
  list.push_back(library("quantize runs int8", Scales::none, CodeKind::int8, [](const Problem& p, cudaStream_t stream) {
    launch_quantize_runs_int8(p.to_quantize(), p.other_scales, stream);
  }));
  list.push_back(library("quantize runs fp8", Scales::none, CodeKind::e4m3,
                         [](const Problem& p, cudaStream_t stream) { launch_quantize_runs_fp8(p.to_quantize(), p.other_scales, stream); }));
  add_blocks<Int8Codes>(list, CodeKind::int8);
  add_blocks<E4M3Codes>(list, CodeKind::e4m3);
  list.push_back(library("int8-blocks of the library", Scales::blocks, CodeKind::int8,
                         [](const Problem& p, cudaStream_t stream) { launch_int8_block_gemm(p.blocks(p.codes()), stream); }));
  list.push_back(library("fp8-blocks of the library", Scales::blocks, CodeKind::e4m3,
                         [](const Problem& p, cudaStream_t stream) { launch_fp8_block_gemm(p.blocks(p.codes()), stream); }));
  list.push_back(library("int8-blocks linear of the library", Scales::none, CodeKind::int8, [](const Problem& p, cudaStream_t stream) {
    launch_quantize_runs_int8(p.to_quantize(), p.other_scales, stream);
    launch_int8_block_gemm(p.blocks(p.other_codes, p.other_scales), stream);
  }));
  list.push_back(library("fp8-blocks linear of the library", Scales::none, CodeKind::e4m3, [](const Problem& p, cudaStream_t stream) {
    launch_quantize_runs_fp8(p.to_quantize(), p.other_scales, stream);
    launch_fp8_block_gemm(p.blocks(p.other_codes, p.other_scales), stream);
  }));
  return list;
}

/// Seconds of one launch: of many in a row, after a pause, for a GPU that has been busy for long lowers its clock.
double time_warm(const Variant& variant, const Problem& problem, const Stream& stream) {
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const int n = std::max(3, static_cast<int>(0.015 / (problem.operations() / 0.8e15 + 5e-6)));
  for (int i = 0; i < 3; ++i) variant.launch(problem, stream.get());
  const Graph graph(stream, {}, [&] {
    for (int i = 0; i < n; ++i) variant.launch(problem, stream.get());
  });
  graph.launch(stream);
  Event begin;
  Event end;
  begin.record(stream.get());
  graph.launch(stream);
  end.record(stream.get());
  end.synchronize();
  return end.seconds_since(begin) / n;
}

/// Seconds of one launch after other data went through the cache: the median of some.
double time_cold(const Variant& variant, const Problem& problem, const Stream& stream) {
  constexpr std::size_t kFlush = 256 << 20;
  static void* const flush = [] {
    void* data = nullptr;
    check(cudaMalloc(&data, kFlush), "allocate");
    return data;
  }();
  std::vector<double> seconds;
  for (int i = 0; i < 7; ++i) {
    check(cudaMemsetAsync(flush, i, kFlush, stream.get()), "flush the cache");
    Event begin;
    Event end;
    begin.record(stream.get());
    variant.launch(problem, stream.get());
    end.record(stream.get());
    end.synchronize();
    seconds.push_back(end.seconds_since(begin));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

int run(const char* filter, int only) {
  const Stream stream;
  int wrong = 0;
  const std::vector<Variant> list = variants();
  const MatmulShape shapes[] = {{333, 456, 400},    {1, 130, 144},     {8192, 8192, 8192}, {4096, 12288, 3072}, {4096, 3072, 12288},
                                {4096, 3072, 3072}, {256, 3072, 3072}, {16, 12288, 3072},  {16, 3072, 12288}};
  for (const MatmulShape& shape : shapes) {
    if (only >= 0 && &shape != &shapes[only]) continue;
    for (const CodeKind codes : {CodeKind::int8, CodeKind::e4m3}) {
      Problem problem(shape, codes, stream.get());
      Scales kept = Scales::none;
      std::printf("== %llu x %llu x %llu\n", static_cast<unsigned long long>(shape.m), static_cast<unsigned long long>(shape.n),
                  static_cast<unsigned long long>(shape.k));
      for (const Variant& variant : list) {
        if (variant.codes != codes || variant.name.find(filter) == std::string::npos) continue;
        problem.clear(stream.get());
        variant.launch(problem, stream.get());
        check(cudaStreamSynchronize(stream.get()), variant.name.c_str());
        const Comparison found = variant.scales == Scales::none ? Comparison{} : problem.compare(variant.scales, stream.get());
        if (!found.right) ++wrong;
        if (variant.scales != Scales::none) {
          // Every kernel gives the same bytes.
          if (kept != variant.scales) problem.keep(stream.get());
          kept = variant.scales;
          for (int i = 0; i < 8; ++i) {
            if (problem.differences(stream.get()) > 0) ++wrong;
            problem.clear(stream.get());
            variant.launch(problem, stream.get());
          }
        }
        std::printf("%-62s %s worst error %.2e of the sum of magnitudes", variant.name.c_str(), found.right ? "right" : "WRONG",
                    found.worst);
        if (found.right && shape.m > 1 && shape.m != 333) {
          const double warm = time_warm(variant, problem, stream);
          const double cold = time_cold(variant, problem, stream);
          std::printf("  warm %8.1f us %7.1f T/s  cold %8.1f us %7.1f T/s", warm * 1e6, problem.operations() / warm * 1e-12, cold * 1e6,
                      problem.operations() / cold * 1e-12);
        }
        std::printf("\n");
        std::fflush(stdout);
      }
    }
  }
  return wrong;
}

}  // namespace
}  // namespace halftone::cuda

int main(int count, char** arguments) {
  try {
    return halftone::cuda::run(count > 1 ? arguments[1] : "", count > 2 ? std::atoi(arguments[2]) : -1) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 2;
  }
}
