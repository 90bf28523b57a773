#pragma once

// Rows whose groups have fitted scales, under a scale for each row (formats::RowScaled); the weights are rotated first.

#include "kernels/fitted_lines.cuh"
#include "kernels/rotated_rows.cuh"

namespace halftone::cuda {

/// Like rotated_rows_kernel; each line is a group.
template <class Format, class Source, bool Search, unsigned Threads, unsigned Blocks>
__global__ void __launch_bounds__(Threads, Blocks)
    fitted_rows_kernel(const typename Source::Raw* __restrict__ in, std::uint64_t rows, std::uint32_t columns,
                       std::uint8_t* __restrict__ codes, std::uint8_t* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  extern __shared__ uint4 dynamic_shared[];
  __shared__ RowMaxima of_warps[Threads / 32];
  const auto& cells = shared_cells<Format>();

  const std::uint64_t row = static_cast<std::uint64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  const Team team(dynamic_shared + kCellsVectors<Format>, thread);
  const PairPlace place(threadIdx.x, columns);
  const auto lines = place.load<Source>(in + (row < rows ? row * columns : 0), team.member());
  const SharedMax of_weight(largest, threadIdx.x == 0);  // while the loads are under way
  fetch_cells<Format>(thread, blockDim.x * blockDim.y);
  wait_for_copies();
  __syncthreads();

  std::uint32_t seen;
  {
    float x[2][kLineElements];
    seen = rotate_lines(lines, team, x);
    team.store_columns(x);
  }
  __syncwarp();
  float fitted[2];
  float of_fits = 0.0F;
#pragma unroll
  for (unsigned g = 0; g < 2; ++g) {
    float x[kLineElements];
    team.load_line(g, x);
    const Extremes extremes = Extremes::of(x);
    seen = max(seen, extremes.largest());
    fitted[g] = fit_line<Format>(cells, team, g, x, extremes, of_fits);
  }
  const RowMaxima of_row = maxima_over_row({codec::bits(of_fits), seen}, blockDim.x, of_warps + threadIdx.y * (blockDim.x / 32));
  if (threadIdx.x == 0 && row < rows) of_weight.raise(of_row.seen);
  const float row_scale = Format::row_scale(codec::from_bits(of_row.value));
  const unsigned groups = columns / kLineElements;
  std::uint8_t* row_scales = scales + row * row_scale_bytes(groups);
  if (threadIdx.x == 0 && row < rows) store_row_scale(row_scales + groups, row_scale);
// A search is long: once is enough.
#pragma unroll(Search ? 1 : 2)
  for (unsigned g = 0; g < 2; ++g) {
    if (row >= rows || !place.holds(g)) continue;
    const unsigned column = place.first(g) + team.member() * kLineElements;
    std::uint32_t words[2];
    const auto scale = encode_line<Format, Search>(cells, team, g, row_scale, g == 0 ? fitted[0] : fitted[1], words);
    row_scales[column / kLineElements] = scale.stored;
    Codes<Format, kLineElements> made;
    memcpy(&made, words, sizeof made);
    store_chunk(codes + code_bytes<Format>(row * columns + column), made);
  }
}

template <class Format, class Source, bool Search, unsigned Threads, unsigned Blocks>
[[nodiscard]] bool launch_fitted_blocks(const RotatedBlocks& blocks, const typename Source::Raw* in, std::uint64_t rows,
                                        std::uint32_t columns, std::uint8_t* codes, std::uint8_t* scales, std::uint32_t* largest,
                                        cudaStream_t stream) {
  constexpr auto kernel = fitted_rows_kernel<Format, Source, Search, Threads, Blocks>;
  const std::size_t shared_bytes = blocks.shared_bytes + kCellsVectors<Format> * kVectorBytes;
  if (shared_bytes > dynamic_shared_bytes<kernel, kRotatedCarveout>()) return false;
  kernel<<<blocks.count, blocks.threads, shared_bytes, stream>>>(in, rows, columns, codes, scales, largest);
  check_launch("start a fitting quantization kernel");
  return true;
}

/// Rotates, fits and quantizes `in`, rows × columns; false, and nothing done, where groups or rows are not those of the
/// kernel (launch_rotated_rows()).
template <class Format, class Source, bool Search>
[[nodiscard]] bool launch_fitted_rows(const typename Source::Raw* in, std::uint64_t rows, std::uint64_t columns,
                                      std::uint32_t rotation_group, std::uint32_t group_size, std::uint8_t* codes, std::uint8_t* scales,
                                      std::uint32_t* largest, cudaStream_t stream) {
  if (group_size != kFusedFitGroup || !rotated_rows_fit<typename Source::Raw>(in, codes, columns, rotation_group)) return false;
  if (rows == 0 || columns == 0) return true;
  const auto width = static_cast<std::uint32_t>(columns);
  const RotatedBlocks blocks = RotatedBlocks::of(rows, width);
  if constexpr (!Search) {
    // Three such blocks leave a thread more registers than one of 1024 threads does.
    constexpr unsigned at_once = 3;
    if (blocks.has_few_threads()) {
      return launch_fitted_blocks<Format, Source, Search, kFewRotatedThreads, at_once>(blocks, in, rows, width, codes, scales, largest,
                                                                                       stream);
    }
  }
  return launch_fitted_blocks<Format, Source, Search, kRotatedThreads, 1>(blocks, in, rows, width, codes, scales, largest, stream);
}

}  // namespace halftone::cuda
