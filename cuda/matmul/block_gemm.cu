#include "matmul/block_gemm.hpp"

#include <limits>

#include "matmul/block_scales.cuh"
#include "matmul/requirements.hpp"
#include "matmul/tile_choice.cuh"

namespace halftone::cuda {
namespace {

using namespace matmul;

template <class Codes>
void launch(const BlockGemm& p, cudaStream_t stream) {
  check_product(p.shape, p.x, p.w, std::numeric_limits<std::int32_t>::max());
  if (p.shape.m == 0 || p.shape.n == 0) return;
  launch_fastest<ScaledBlocks,                                                              //
                 Tile<Codes, TileSizes{.columns = 256, .part_columns = 128, .stages = 4}>,  //
                 Tile<Codes, TileSizes{.columns = 192, .stages = 5}>,                       //
                 Tile<Codes, TileSizes{.columns = 128, .stages = 6}>,                       //
                 Tile<Codes, TileSizes{.columns = 64, .stages = 8}>,                        //
                 Tile<Codes, TileSizes{.groups = 1, .columns = 64, .stages = 5}>>({p.shape, p.x, p.w, p.y},
                                                                                  BlockArguments{p.x_scales, p.w_scales, p.bias}, stream);
}

}  // namespace

void launch_int8_block_gemm(const BlockGemm& product, cudaStream_t stream) { launch<Int8Codes>(product, stream); }

void launch_fp8_block_gemm(const BlockGemm& product, cudaStream_t stream) { launch<E4M3Codes>(product, stream); }

}  // namespace halftone::cuda
