#pragma once

#include <algorithm>
#include <cmath>

#include "matmul/gemm_kernel.cuh"
#include "matmul/operands.hpp"
#include "matmul/tensor_map.hpp"
#include "runtime/check.hpp"
#include "runtime/shared_memory.hpp"

namespace halftone::cuda::matmul {

/// The memory of a product whose arguments have been checked.
struct GemmMatrices {
  MatmulShape shape;
  const void* x;
  const void* w;
  std::uint16_t* y;
};

[[nodiscard]] inline std::uint32_t divide_up(std::uint64_t a, std::uint64_t b) { return static_cast<std::uint32_t>((a + b - 1) / b); }

/// Multiprocessors of the current device.
[[nodiscard]] inline std::uint32_t multiprocessors() {
  int device = 0;
  int count = 0;
  check(cudaGetDevice(&device), "ask for the current device");
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "count the multiprocessors of a device");
  return static_cast<std::uint32_t>(count);
}

/// The tiles, those that share fetches as one, in bands that make those that run at once about as wide as high.
template <class Tile>
[[nodiscard]] TileOrder order_of(const MatmulShape& shape, std::uint32_t at_once) {
  const double side = std::sqrt(static_cast<double>(at_once) * Tile::kRows * Tile::kColumns);
  constexpr std::uint64_t kClusterRows = Tile::kRows * Tile::kSharing;
  const auto band = static_cast<std::uint32_t>(std::lround(side / kClusterRows));
  return {divide_up(shape.m, kClusterRows), divide_up(shape.n, Tile::kColumns), std::max(1U, band)};
}

/// Rows of x that a fetch brings.  Rows of a tile beyond them, and beyond x, are multiplied as they are found, and stored
/// nowhere.
template <class Tile>
[[nodiscard]] std::uint32_t rows_of_x(const MatmulShape& shape) {
  constexpr std::uint64_t kSwizzled = 8;  // rows that the copy engine swizzles together
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(Tile::kRows, (shape.m + kSwizzled - 1) / kSwizzled * kSwizzled));
}

[[nodiscard]] inline CUtensorMap map_of_codes(const void* codes, std::uint64_t rows, std::uint64_t k, std::uint32_t box_rows) {
  return make_tensor_map({.data = codes,
                          .type = CU_TENSOR_MAP_DATA_TYPE_UINT8,
                          .swizzle = CU_TENSOR_MAP_SWIZZLE_128B,
                          .rows = rows,
                          .columns = k,
                          .row_bytes = k,
                          .box_rows = box_rows,
                          .box_columns = kRowBytes});
}

/// Whether y can be stored in vectors of 16 bytes.
[[nodiscard]] inline bool has_aligned_rows(const GemmMatrices& matrices) {
  return matrices.shape.n * sizeof(std::uint16_t) % 16 == 0 && reinterpret_cast<std::uintptr_t>(matrices.y) % 16 == 0;
}

template <class Tile, class Scaling>
void launch_gemm(const GemmMatrices& matrices, const typename Scaling::Arguments& arguments, cudaStream_t stream) {
  const MatmulShape& shape = matrices.shape;
  const std::uint32_t at_once = multiprocessors();
  GemmWork<typename Scaling::Arguments> work{.order = order_of<Tile>(shape, at_once),
                                             .m = static_cast<std::uint32_t>(shape.m),
                                             .n = static_cast<std::uint32_t>(shape.n),
                                             .rows_of_x = rows_of_x<Tile>(shape),
                                             .n_blocks = divide_up(shape.k, kRowBytes),
                                             .y = matrices.y,
                                             .in_vectors = has_aligned_rows(matrices),
                                             .arguments = arguments};
  const CUtensorMap a = map_of_codes(matrices.x, shape.m, shape.k, work.rows_of_x);
  const CUtensorMap b = map_of_codes(matrices.w, shape.n, shape.k, Tile::kColumns / Tile::kSharing);

  constexpr auto kernel = gemm_kernel<Tile, Scaling>;
  static_assert(sizeof(SharedTiles<Tile>) <= 227 * 1024, "more than a block of compute capability 9.0 may have");
  (void)dynamic_shared_bytes<kernel>();
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;  // what precedes the first fetch overlaps the kernel before
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {Tile::kCluster, 1, 1};
  cudaLaunchConfig_t config{};
  // Sums of a cluster that shares out k are exchanged once.
  const std::uint32_t clusters =
      Tile::kSplit > 1 ? work.order.count() : std::min(at_once * Tile::kAtOnce / Tile::kCluster, work.order.count());
  config.gridDim = dim3(clusters * Tile::kCluster);
  config.blockDim = dim3(Tile::kThreads);
  config.dynamicSmemBytes = sizeof(SharedTiles<Tile>);
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = Tile::kCluster == 1 ? 1 : 2;
  check(cudaLaunchKernelEx(&config, kernel, a, b, work), "start a matrix product");
}

}  // namespace halftone::cuda::matmul
