#pragma once

#include "matmul/column_values.cuh"
#include "matmul/operands.hpp"
#include "matmul/products.cuh"
#include "matmul/split_sums.cuh"
#include "matmul/store.cuh"

namespace halftone::cuda::matmul {

/// What ScaledRows needs, on the device.
struct RowArguments {
  RowScales x;
  RowScales w;
  const float* bias;  ///< or null
};

/// One sum over the whole of k, multiplied by factors of its row and its column.
template <class Tile>
struct ScaledRows {
  using Arguments = RowArguments;

  // For the choice of a tile; the products of stages follow each other without a pause.
  static constexpr double kCyclesPerStage = 0;
  static constexpr double kProductsPerCycle = 3700;

  /// Computes and stores the part of a tile that group `group` has.
  __device__ static __forceinline__ void run(const Arguments& arguments, SharedTiles<Tile>& shared, StageCursor<Tile::kStages>& cursor,
                                             StripWriter& writer, const OutputTile& out, StageRange stages, int group) {
    if constexpr (Tile::kSplit > 1) return run_part(arguments, shared, cursor, out, stages.count(), group);
    const ColumnValues<Tile> factors(arguments.w.values, arguments.w.per_row ? 1 : 0, 0.0F, out.column, out.n);
    const ColumnValues<Tile> bias(arguments.bias, 1, 0.0F, out.column, out.n);
    float row_factors[Tile::kPartsDown][2];
#pragma unroll
    for (int i = 0; i < Tile::kPartsDown * 2; ++i) {
      const std::uint32_t row = out.row + row_of_thread<Tile>(group, i);
      row_factors[i / 2][i % 2] = row >= out.m ? 0.0F : __ldg(arguments.x.values + (arguments.x.per_row ? row : 0));
    }

    typename Tile::Sum sums[Tile::kParts][Tile::kPartSums];
    sum_products(shared, cursor, stages.count(), group, sums);

    sync_threads_of<Tile>(group);  // the values of the tile before are no longer needed
    factors.put(shared.factors[group]);
    bias.put(shared.bias[group]);
    sync_threads_of<Tile>(group);
    store_tile<Tile>(writer, out, group, sums, [&](int part, int down, typename Tile::Sum sum, int column) {
      const float factor = row_factors[part / Tile::kPartsAcross][down] * shared.factors[group][column];
      return static_cast<float>(sum) * factor + shared.bias[group][column];
    });
  }

 private:
  /// Sums up a part of k, and stores what this block has of the sums of the cluster.
  __device__ static __forceinline__ void run_part(const Arguments& arguments, SharedTiles<Tile>& shared, StageCursor<Tile::kStages>& cursor,
                                                  const OutputTile& out, std::uint32_t n_blocks, int group) {
    typename Tile::Sum sums[Tile::kParts][Tile::kPartSums];
    if (n_blocks > 0) {
      sum_products(shared, cursor, n_blocks, group, sums);
    } else {  // fewer stages than blocks
#pragma unroll
      for (typename Tile::Sum& sum : sums[0]) sum = 0;
    }
    const std::uint32_t row = out.row + row_of_thread<Tile>(group, 0);
    const bool has_rows = row - threadIdx.x % 32 / 4 < out.m;  // of a warp
    typename Tile::Sum totals[SplitSums<Tile>::kEach];
    exchange_sums<Tile>(shared.split, sums[0], totals);
    if (!has_rows) return;
    const std::uint32_t first = rank_in_cluster() * SplitSums<Tile>::kEach;
#pragma unroll
    for (int i = 0; i < SplitSums<Tile>::kEach; ++i) {
      const std::uint32_t to_row = row + i % 4 / 2 * 8;
      const std::uint32_t column = out.column + first * 2 + static_cast<std::uint32_t>(i / 4 * 8 + i % 2) + threadIdx.x % 4 * 2;
      if (to_row >= out.m || column >= out.n) continue;
      const float factor =
          __ldg(arguments.x.values + (arguments.x.per_row ? to_row : 0)) * __ldg(arguments.w.values + (arguments.w.per_row ? column : 0));
      const float bias = arguments.bias == nullptr ? 0.0F : __ldg(arguments.bias + column);
      out.y[std::uint64_t{to_row} * out.n + column] =
          static_cast<std::uint16_t>(to_bf16_pair(static_cast<float>(totals[i]) * factor + bias, 0.0F));
    }
  }
};

}  // namespace halftone::cuda::matmul
