#pragma once

// A table of the errors of bfloat16 weights in shared memory (formats/nvfp4/error_table.hpp).  A row of it is there once
// for each lane of the eight that read shared memory together, so that they never wait for one another.

#include <halftone/codec/hd.hpp>

#include "formats/nvfp4/error_table.hpp"
#include "formats/nvfp4/scale_search.hpp"

namespace halftone::cuda {

/// The table of a format of runs that has one.
template <class Format>
struct RunTable {
  static constexpr bool kExists = false;
};
template <>
struct RunTable<formats::nvfp4::Format> : formats::nvfp4::ErrorTable {
  static constexpr bool kExists = true;
  static constexpr int kWeights = static_cast<int>(formats::nvfp4::Format::kRun);
  static __device__ float squared_error(float magnitude, float scale) {
    return formats::nvfp4::ScaleSearch::squared_error_of(magnitude, scale);
  }
};

/// A table in the shared memory of a block.
template <class Table>
class SharedTable {
  static constexpr unsigned kCopies = 8;
  /// Of a row with all its copies.
  static constexpr unsigned kRowBytes = kCopies * sizeof(uint4);
  static constexpr unsigned kAllRows = Table::kRows + Table::kRowsBefore;

 public:
  static constexpr std::size_t kBytes = std::size_t{kAllRows} * kRowBytes;

  /// All threads of the block must call it.
  __device__ SharedTable(unsigned char* memory, float tensor) : copy_(memory + threadIdx.x % kCopies * sizeof(uint4)) {
    for (unsigned row = threadIdx.x; row < kAllRows; row += blockDim.x) {
      std::uint32_t words[4] = {};
      if (row >= Table::kRowsBefore) {
#pragma unroll
        for (unsigned i = 0; i < Table::kOctaveScales; ++i)
          words[i / 2] |= Table::entry(tensor, row - Table::kRowsBefore, i) << (i % 2 * 16);
      }
      const uint4 entries = make_uint4(words[0], words[1], words[2], words[3]);
      for (unsigned k = 0; k < kCopies; ++k) {
        const unsigned copy = (threadIdx.x + k) % kCopies;  // another one than the neighbours store to
        *reinterpret_cast<uint4*>(memory + row * kRowBytes + copy * sizeof(uint4)) = entries;
      }
    }
    __syncthreads();
  }

  /// Adds the errors of the weights in `words`, two in each, for two octaves of which the first begins at `first_row`.
  template <int Words>
  __device__ void add(const std::uint32_t (&words)[Words], std::uint32_t first_row, std::uint32_t (&sums)[8]) const {
    constexpr std::uint32_t both = 0x0001'0001U;
    constexpr std::uint32_t last = (Table::kRows - 1U) * both;
    const std::uint32_t negated = ((0U - first_row) & 0xFFFFU) * both;
#pragma unroll
    for (int i = 0; i < Words; ++i) {
      // max(min(weight - first_row, last), 0) in each half.
      const std::uint32_t rows = __viaddmin_s16x2_relu(words[i] & 0x7FFF'7FFFU, negated, last);
      add_rows(at(rows << 7), at(rows >> 9), sums);
    }
  }

 private:
  static_assert(kRowBytes == 128);

  /// The row at `offset`, of which all but a multiple of kRowBytes is ignored, in the first of two octaves.
  [[nodiscard]] __device__ const unsigned char* at(std::uint32_t offset) const { return copy_ + (offset & 0x003F'FF80U); }

  static __device__ void add_rows(const unsigned char* one, const unsigned char* other, std::uint32_t (&sums)[8]) {
    constexpr unsigned before = Table::kRowsBefore * kRowBytes;
    const uint4 low[2] = {*reinterpret_cast<const uint4*>(one + before), *reinterpret_cast<const uint4*>(other + before)};
    const uint4 high[2] = {*reinterpret_cast<const uint4*>(one), *reinterpret_cast<const uint4*>(other)};
    sums[0] += low[0].x + low[1].x;
    sums[1] += low[0].y + low[1].y;
    sums[2] += low[0].z + low[1].z;
    sums[3] += low[0].w + low[1].w;
    sums[4] += high[0].x + high[1].x;
    sums[5] += high[0].y + high[1].y;
    sums[6] += high[0].z + high[1].z;
    sums[7] += high[0].w + high[1].w;
  }

  const unsigned char* copy_;
};

}  // namespace halftone::cuda
