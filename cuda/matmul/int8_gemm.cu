#include "matmul/int8_gemm.hpp"

#include "matmul/requirements.hpp"
#include "matmul/row_scales.cuh"
#include "matmul/tile_choice.cuh"

namespace halftone::cuda {

void launch_int8_gemm(const Int8Gemm& p, cudaStream_t stream) {
  using namespace matmul;
  check_product(p.shape, p.x, p.w, kInt8GemmLongestRow);
  if (p.shape.m == 0 || p.shape.n == 0) return;
  launch_fastest<ScaledRows,                        //
                 Tile<Int8Codes, 64, 256, 256, 4>,  //
                 Tile<Int8Codes, 64, 192, 192, 5>,  //
                 Tile<Int8Codes, 64, 128, 128, 6>,  //
                 Tile<Int8Codes, 64, 64, 64, 8>>({p.shape, p.x, p.w, p.y}, RowArguments{p.x_scales, p.w_scales, p.bias}, stream);
}

}  // namespace halftone::cuda
