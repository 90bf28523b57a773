#pragma once

#include "matmul/column_values.cuh"
#include "matmul/operands.hpp"
#include "matmul/products.cuh"
#include "matmul/store.cuh"

namespace halftone::cuda::matmul {

/// What ScaledBlocks needs, on the device.
struct BlockArguments {
  RunScales x;
  const float* w;
  const float* bias;  ///< or null
};

/// A sum over every kScaleBlock elements of k, multiplied by factors of its row and its block of W and added to those before.
template <class Tile>
struct ScaledBlocks {
  static_assert(kScaleBlock == kRowBytes, "a stage has one factor of a row");
  /// Columns that surely have the same factor.
  static constexpr int kSegment = Tile::kColumns % kScaleBlock == 0 && Tile::kPartColumns % kScaleBlock == 0 ? kScaleBlock : 64;
  static constexpr int kSegments = Tile::kColumns / kSegment;

  using Arguments = BlockArguments;

  // For the choice of a tile: what goes by in each stage while the tensor cores stand still, and how they do otherwise.
  static constexpr double kCyclesPerStage = 490;
  static constexpr double kProductsPerCycle = 5200;

  /// Computes and stores the part of a tile that group `group` has.
  __device__ static __forceinline__ void run(const Arguments& arguments, SharedTiles<Tile>& shared, StageCursor<Tile::kStages>& cursor,
                                             StripWriter& writer, const OutputTile& out, StageRange stages, int group) {
    static_assert(Tile::kSplit == 1, "the order of sums is that of the runs");
    const std::uint32_t n_blocks = stages.last;
    const ColumnValues<Tile> bias(arguments.bias, 1, 0.0F, out.column, out.n);
    float totals[Tile::kParts][Tile::kPartSums] = {};
    const Factors factors(arguments, out, n_blocks, group);
    float rows[Tile::kPartsDown][2];
    float columns[kSegments];
    factors.load(0, rows, columns);
    for (std::uint32_t block = 0; block < n_blocks; ++block) {
      float next_rows[Tile::kPartsDown][2];
      float next_columns[kSegments];
      factors.load(block + 1 < n_blocks ? block + 1 : block, next_rows, next_columns);  // long before they are needed
      shared.full[cursor.stage].wait(cursor.parity);
#pragma unroll
      for (int part = 0; part < Tile::kParts; ++part) {
        typename Tile::Sum sums[Tile::kPartSums];
        begin_products();
        multiply(shared, cursor.stage, group, part, sums, false);
        end_products();
        wait_for_products<0>();
        pin(sums);
        if (part == Tile::kParts - 1) release(shared, cursor.stage);
        add_scaled(sums, part, rows, columns, totals[part]);
      }
      cursor.advance();
#pragma unroll
      for (int i = 0; i < Tile::kPartsDown * 2; ++i) rows[i / 2][i % 2] = next_rows[i / 2][i % 2];
#pragma unroll
      for (int i = 0; i < kSegments; ++i) columns[i] = next_columns[i];
    }
    sync_threads_of<Tile>(group);  // the values of the tile before are no longer needed
    bias.put(shared.bias[group]);
    sync_threads_of<Tile>(group);
    store_tile<Tile>(writer, out, group, totals, [&](int, int, float total, int column) { return total + shared.bias[group][column]; });
  }

 private:
  /// Adds what the sums of part `part` are worth to its totals.
  __device__ static __forceinline__ void add_scaled(const typename Tile::Sum (&sums)[Tile::kPartSums], int part,
                                                    const float (&rows)[Tile::kPartsDown][2], const float (&columns)[kSegments],
                                                    float (&totals)[Tile::kPartSums]) {
    float factors[kSegments][2];
#pragma unroll
    for (int i = 0; i < kSegments * 2; ++i) factors[i / 2][i % 2] = rows[part / Tile::kPartsAcross][i % 2] * columns[i / 2];
#pragma unroll
    for (int i = 0; i < Tile::kPartSums; ++i) {
      const int segment = (part % Tile::kPartsAcross * Tile::kPartColumns + i / 4 * 8) / kSegment;
      totals[i] = __fmaf_rn(static_cast<float>(sums[i]), factors[segment][i % 4 / 2], totals[i]);
    }
  }

  /// Where the factors of this thread lie.
  class Factors {
   public:
    __device__ __forceinline__ Factors(const Arguments& arguments, const OutputTile& out, std::uint32_t n_blocks, int group)
        : x_(arguments.x.values), run_stride_(arguments.x.run_stride) {
#pragma unroll
      for (int i = 0; i < Tile::kPartsDown * 2; ++i) {
        const std::uint32_t row = out.row + row_of_thread<Tile>(group, i);
        rows_[i] = (row < out.m ? row : out.m - 1) * arguments.x.row_stride;  // one beyond the edge is stored nowhere
      }
      const std::uint32_t last = (out.n - 1) / kScaleBlock;
#pragma unroll
      for (int i = 0; i < kSegments; ++i) {
        const std::uint32_t block = (out.column + static_cast<std::uint32_t>(i) * kSegment) / kScaleBlock;
        columns_[i] = arguments.w + static_cast<std::uint64_t>(block < last ? block : last) * n_blocks;
      }
    }

    __device__ __forceinline__ void load(std::uint32_t block, float (&rows)[Tile::kPartsDown][2], float (&columns)[kSegments]) const {
      const float* const run = x_ + block * run_stride_;
#pragma unroll
      for (int i = 0; i < Tile::kPartsDown * 2; ++i) rows[i / 2][i % 2] = load_now(run + rows_[i]);
#pragma unroll
      for (int i = 0; i < kSegments; ++i) columns[i] = load_now(columns_[i] + block);
    }

   private:
    /// A load that the compiler leaves where it is, ahead of the products.
    [[nodiscard]] __device__ static __forceinline__ float load_now(const float* from) {
      float value;
      asm volatile("ld.global.nc.f32 %0, [%1];" : "=f"(value) : "l"(from));
      return value;
    }

    const float* x_;
    std::uint64_t run_stride_;
    std::uint64_t rows_[Tile::kPartsDown * 2];
    const float* columns_[kSegments];
  };
};

}  // namespace halftone::cuda::matmul
