#include "matmul/int8_gemm.hpp"

#include "matmul/requirements.hpp"
#include "matmul/row_scales.cuh"
#include "matmul/tile_choice.cuh"

namespace halftone::cuda {

void launch_int8_gemm(const Int8Gemm& p, cudaStream_t stream) {
  using namespace matmul;
  check_product(p.shape, p.x, p.w, kInt8GemmLongestRow);
  if (p.shape.m == 0 || p.shape.n == 0) return;
  launch_fastest<ScaledRows,                                               //
                 Tile<Int8Codes, TileSizes{.columns = 256, .stages = 4}>,  //
                 Tile<Int8Codes, TileSizes{.columns = 192, .stages = 5}>,  //
                 Tile<Int8Codes, TileSizes{.columns = 128, .stages = 6}>,  //
                 Tile<Int8Codes, TileSizes{.columns = 64, .stages = 8}>>({p.shape, p.x, p.w, p.y},
                                                                         RowArguments{p.x_scales, p.w_scales, p.bias}, stream);
}

}  // namespace halftone::cuda
