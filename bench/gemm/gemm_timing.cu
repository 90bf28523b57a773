// Checks and times tiles of the matrix products on a GPU of compute capability 9.0: halftone_gemm_timing [FILTER [SHAPE [warm]]],
// where a variant is timed if FILTER is in its name, SHAPE is the place of a shape in the list below or -1, and any third argument
// leaves out the times after other data; or halftone_gemm_timing errors.  It is for finding the tiles that the library then has.
#include <cuda_runtime.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "matmul/block_gemm.hpp"
#include "matmul/block_scales.cuh"
#include "matmul/gemm_launch.cuh"
#include "matmul/quantize_activations.hpp"
#include "matmul/row_gemm.hpp"
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
  std::string sums;  ///< those of the same have the same bytes
  Scales scales;
  CodeKind codes;
  std::function<void(const Problem&, cudaStream_t)> launch;
  bool few_rows = false;   ///< not timed with many
  bool many_rows = false;  ///< not timed with few
};

template <class Tile>
std::string name_of(const std::string& sums) {
  char text[128];
  std::snprintf(text, sizeof text, "%s %3dx%-3d part %3d stages %d sharing %d split %d", sums.c_str(), Tile::kRows, Tile::kColumns,
                Tile::kPartColumns, Tile::kStages, Tile::kSharing, Tile::kSplit);
  return text;
}

template <class Tile>
Variant rows(CodeKind kind) {
  std::string sums = kind == CodeKind::int8 ? "int8-rows" : "fp8-rows";
  if (Tile::kSplit > 1 && kind != CodeKind::int8) sums += " split " + std::to_string(Tile::kSplit);
  return {name_of<Tile>(sums),
          sums,
          Scales::rows,
          kind,
          [](const Problem& p, cudaStream_t stream) {
            launch_gemm<Tile, ScaledRows<Tile>>(p.matrices(), {{p.x_scales, true}, {p.w_scales, true}, p.bias}, stream);
          },
          Tile::kColumns < 128 || Tile::kGroups == 1 || Tile::kSplit > 1,
          Tile::kColumns > 128};
}

/// What callers of the library get; with Scales::none it is not compared.
Variant library(const char* name, Scales scales, CodeKind kind, void (*launch)(const Problem&, cudaStream_t)) {
  return {name, name, scales, kind, launch};
}

template <class Tile>
Variant blocks(CodeKind kind) {
  const char* const sums = kind == CodeKind::int8 ? "int8-blocks" : "fp8-blocks";
  return {name_of<Tile>(sums),
          sums,
          Scales::blocks,
          kind,
          [](const Problem& p, cudaStream_t stream) {
            launch_gemm<Tile, ScaledBlocks<Tile>>(p.matrices(), {{p.x_scales, 1, p.shape.m}, p.w_scales, p.bias}, stream);
          },
          Tile::kColumns<128, Tile::kColumns> 128};
}

template <class Codes>
void add_rows(std::vector<Variant>& list, CodeKind kind) {
  list.push_back(rows<Tile<Codes, TileSizes{.columns = 256, .stages = 4}>>(kind));
  list.push_back(rows<Tile<Codes, TileSizes{.columns = 256, .stages = 4, .sharing = 2}>>(kind));
  list.push_back(rows<Tile<Codes, TileSizes{.columns = 192, .stages = 5}>>(kind));
  list.push_back(rows<Tile<Codes, TileSizes{.columns = 128, .stages = 6}>>(kind));
  list.push_back(rows<Tile<Codes, TileSizes{.columns = 64, .stages = 8}>>(kind));
  list.push_back(rows<Tile<Codes, TileSizes{.groups = 1, .columns = 64, .stages = 5}>>(kind));
  list.push_back(rows<Tile<Codes, TileSizes{.groups = 1, .columns = 64, .stages = 5, .split = 2}>>(kind));
  list.push_back(rows<Tile<Codes, TileSizes{.groups = 1, .columns = 64, .stages = 5, .split = 4}>>(kind));
}

template <class Codes>
void add_blocks(std::vector<Variant>& list, CodeKind kind) {
  list.push_back(blocks<Tile<Codes, TileSizes{.columns = 256, .part_columns = 128, .stages = 4}>>(kind));
  list.push_back(blocks<Tile<Codes, TileSizes{.columns = 256, .part_columns = 128, .stages = 4, .sharing = 2}>>(kind));
  list.push_back(blocks<Tile<Codes, TileSizes{.columns = 192, .stages = 5}>>(kind));
  list.push_back(blocks<Tile<Codes, TileSizes{.columns = 128, .stages = 6}>>(kind));
  list.push_back(blocks<Tile<Codes, TileSizes{.columns = 64, .stages = 8}>>(kind));
  list.push_back(blocks<Tile<Codes, TileSizes{.groups = 1, .columns = 64, .stages = 5}>>(kind));
}

std::vector<Variant> variants() {
  std::vector<Variant> list;
  constexpr CodeKind kInt8 = CodeKind::int8;
  constexpr CodeKind kFp8 = CodeKind::e4m3;
  add_rows<Int8Codes>(list, kInt8);
  add_rows<E4M3Codes>(list, kFp8);
  add_blocks<Int8Codes>(list, kInt8);
  add_blocks<E4M3Codes>(list, kFp8);
  list.push_back(library("fp8-rows of the library", Scales::rows, kFp8, [](const Problem& p, cudaStream_t stream) {
    launch_fp8_gemm(p.rows(p.codes(), p.x_scales), Fp8Weight::e4m3, stream);
  }));
  list.push_back(library("int8-rows of the library", Scales::rows, kInt8,
                         [](const Problem& p, cudaStream_t stream) { launch_int8_gemm(p.rows(p.codes(), p.x_scales), stream); }));
  list.push_back(library("int8-linear of the library", Scales::none, kInt8, [](const Problem& p, cudaStream_t stream) {
    p.quantize_rows_int8(stream);
    launch_int8_gemm(p.rows(p.other_codes, p.other_scales), stream);
  }));
  list.push_back(
      library("quantize rows int8", Scales::none, kInt8, [](const Problem& p, cudaStream_t stream) { p.quantize_rows_int8(stream); }));
  list.push_back(library("quantize runs int8", Scales::none, kInt8, [](const Problem& p, cudaStream_t stream) {
    launch_quantize_runs_int8(p.to_quantize(), p.other_scales, stream);
  }));
  list.push_back(library("quantize runs fp8", Scales::none, kFp8,
                         [](const Problem& p, cudaStream_t stream) { launch_quantize_runs_fp8(p.to_quantize(), p.other_scales, stream); }));
  list.push_back(library("int8-blocks of the library", Scales::blocks, kInt8,
                         [](const Problem& p, cudaStream_t stream) { launch_int8_block_gemm(p.blocks(p.codes()), stream); }));
  list.push_back(library("fp8-blocks of the library", Scales::blocks, kFp8,
                         [](const Problem& p, cudaStream_t stream) { launch_fp8_block_gemm(p.blocks(p.codes()), stream); }));
  list.push_back(library("int8-blocks linear of the library", Scales::none, kInt8, [](const Problem& p, cudaStream_t stream) {
    launch_quantize_runs_int8(p.to_quantize(), p.other_scales, stream);
    launch_int8_block_gemm(p.blocks(p.other_codes, p.other_scales), stream);
  }));
  list.push_back(library("fp8-blocks linear of the library", Scales::none, kFp8, [](const Problem& p, cudaStream_t stream) {
    launch_quantize_runs_fp8(p.to_quantize(), p.other_scales, stream);
    launch_fp8_block_gemm(p.blocks(p.other_codes, p.other_scales), stream);
  }));
  return list;
}

/// Seconds of one launch: of many in a row, after a pause, for a GPU that has been busy for long lowers its clock.
double time_warm(const Variant& variant, const Problem& problem, const Stream& stream) {
  std::this_thread::sleep_for(std::chrono::milliseconds(problem.operations() > 2e11 ? 200 : 50));
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

int run(const char* filter, int only, bool cold_too) {
  const Stream stream;
  int wrong = 0;
  const std::vector<Variant> list = variants();
  const MatmulShape shapes[] = {{333, 456, 400},     {1, 130, 144},      {8192, 8192, 8192}, {4096, 12288, 3072},
                                {4096, 3072, 12288}, {4096, 3072, 3072}, {256, 3072, 3072},  {16, 12288, 3072},
                                {16, 3072, 12288},   {64, 12288, 3072},  {64, 3072, 12288},  {128, 3072, 3072}};
  for (const MatmulShape& shape : shapes) {
    if (only >= 0 && &shape != &shapes[only]) continue;
    for (const CodeKind codes : {CodeKind::int8, CodeKind::e4m3}) {
      Problem problem(shape, codes, stream.get());
      std::string kept;
      std::printf("== %llu x %llu x %llu\n", static_cast<unsigned long long>(shape.m), static_cast<unsigned long long>(shape.n),
                  static_cast<unsigned long long>(shape.k));
      for (const Variant& variant : list) {
        if (variant.codes != codes || variant.name.find(filter) == std::string::npos) continue;
        constexpr std::uint64_t kFew = 256;
        if (shape.m > 400 ? variant.few_rows : shape.m < kFew && shape.m > 1 && variant.many_rows) continue;
        problem.clear(stream.get());
        variant.launch(problem, stream.get());
        check(cudaStreamSynchronize(stream.get()), variant.name.c_str());
        const Comparison found = variant.scales == Scales::none ? Comparison{} : problem.compare(variant.scales, stream.get());
        if (!found.right) ++wrong;
        if (variant.scales != Scales::none) {
          if (kept != variant.sums) problem.keep(stream.get());
          kept = variant.sums;
          for (int i = 0; i < 8; ++i) {
            if (problem.differences(stream.get()) > 0) ++wrong;
            problem.clear(stream.get());
            variant.launch(problem, stream.get());
          }
        }
        std::printf("%-72s %s worst error %.2e of the sum of magnitudes", variant.name.c_str(), found.right ? "right" : "WRONG",
                    found.worst);
        if (found.right && shape.m > 1 && shape.m != 333) {
          const double warm = time_warm(variant, problem, stream);
          std::printf("  warm %8.1f us %7.1f T/s", warm * 1e6, problem.operations() / warm * 1e-12);
          const double cold = cold_too ? time_cold(variant, problem, stream) : 0;
          if (cold_too) std::printf("  cold %8.1f us %7.1f T/s", cold * 1e6, problem.operations() / cold * 1e-12);
        }
        std::printf("\n");
        std::fflush(stdout);
      }
    }
  }
  return wrong;
}

/// How exact the sums of long rows are, of codes as they are in practice.
int show_errors() {
  const Stream stream;
  const std::vector<Variant> list = variants();
  for (const std::uint64_t k : {1024, 3072, 8192, 16384}) {
    Problem problem({256, 1024, k}, CodeKind::e4m3, stream.get(), true);
    std::string shown;
    for (const Variant& variant : list) {
      if (variant.codes != CodeKind::e4m3 || variant.scales == Scales::none || variant.sums == shown) continue;
      shown = variant.sums;
      variant.launch(problem, stream.get());
      const Comparison found = problem.compare(variant.scales, stream.get());
      std::printf("k %5llu %-40s root mean square %.3e  drift %+.3e\n", static_cast<unsigned long long>(k), variant.sums.c_str(),
                  found.root, found.drift);
    }
  }
  return 0;
}

}  // namespace
}  // namespace halftone::cuda

int main(int count, char** arguments) {
  try {
    if (count > 1 && std::strcmp(arguments[1], "errors") == 0) return halftone::cuda::show_errors();
    return halftone::cuda::run(count > 1 ? arguments[1] : "", count > 2 ? std::atoi(arguments[2]) : -1, count <= 3) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 2;
  }
}
