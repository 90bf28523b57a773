#include "matmul/row_gemm.hpp"

#include <limits>

#include "matmul/requirements.hpp"
#include "matmul/row_scales.cuh"
#include "matmul/tile_choice.cuh"

namespace halftone::cuda {
namespace {

using namespace matmul;

/// `More`: tiles for these codes alone.
template <class Codes, class... More>
void launch(const RowGemm& p, std::uint64_t longest_row, cudaStream_t stream) {
  check_product(p.shape, p.x, p.w, longest_row);
  if (p.shape.m == 0 || p.shape.n == 0) return;
  launch_fastest<ScaledRows,                                                       //
                 Tile<Codes, TileSizes{.columns = 256, .stages = 4}>,              //
                 Tile<Codes, TileSizes{.columns = 192, .stages = 5}>,              //
                 Tile<Codes, TileSizes{.columns = 128, .stages = 6}>,              //
                 Tile<Codes, TileSizes{.columns = 64, .stages = 8}>,               //
                 Tile<Codes, TileSizes{.groups = 1, .columns = 64, .stages = 5}>,  //
                 Tile<Codes, TileSizes{.groups = 1, .columns = 64, .stages = 5, .split = 2}>,
                 Tile<Codes, TileSizes{.groups = 1, .columns = 64, .stages = 5, .split = 4}>, More...>(
      {p.shape, p.x, p.w, p.y}, RowArguments{p.x_scales, p.w_scales, p.bias}, stream);
}

/// Products of FP8 need so much power that large ones gain where blocks fetch for each other.
template <class Codes>
using Shared = Tile<Codes, TileSizes{.columns = 256, .stages = 4, .sharing = 2}>;

constexpr std::uint64_t kAnyRow = std::numeric_limits<std::int32_t>::max();

}  // namespace

void launch_int8_gemm(const RowGemm& product, cudaStream_t stream) { launch<Int8Codes>(product, kInt8GemmLongestRow, stream); }

void launch_fp8_gemm(const RowGemm& product, Fp8Weight weight, cudaStream_t stream) {
  switch (weight) {
    case Fp8Weight::e4m3: return launch<E4M3Codes, Shared<E4M3Codes>>(product, kAnyRow, stream);
    case Fp8Weight::e5m2: return launch<E4M3ByE5M2Codes, Shared<E4M3ByE5M2Codes>>(product, kAnyRow, stream);
  }
}

}  // namespace halftone::cuda
