#pragma once

// What encodes and decodes for a block of threads: the functions of a format or, for those whose codes are a table,
// the same through tables in shared memory.  Each word of such a table lies in a bank of its own, so that the threads
// of a warp read any of them at once.

#include <halftone/codec/hd.hpp>

#include "formats/format_traits.hpp"

namespace halftone::cuda {

template <class Format>
concept TableFormat = requires(float x) {
  Format::Table::encode(Format::normalised(x, x));
};

template <class Format>
class Encoder {
 public:
  struct Shared {};
  /// All threads of the block must call it.
  __device__ explicit Encoder(Shared&) {}
  __device__ std::uint32_t operator()(float weight, float operand) const { return Format::encode(weight, operand); }
  /// The same for weights that may be larger than what the scale is made for.
  __device__ std::uint32_t any(float weight, float operand) const { return Format::encode(weight, operand); }
};

/// The keys of a table are cut into 32 cells of which none has more than one limit: one comparison is left.  A cell
/// holds its limit, or infinity, and how many limits lie in the cells before.
///
/// The cell of a key does not grow smaller where the key does not, whatever the rounding; so a key exceeds the limits
/// of the cells before its own, and none of those behind.
template <TableFormat Format>
class Encoder<Format> {
  using Table = typename Format::Table;
  static constexpr unsigned kCells = 32;
  /// Keys go from -1 or 0 to 1 and, by rounding, a little beyond: to the middle of the last cell.
  static constexpr float kFactor = Table::kSigned ? 15.5F : 31.5F;
  /// 2^21, whose unit in the last place is 1/4, and the cell of key 0: the sum has the cell in the bits 2 to 6.
  static constexpr float kOffset = 2097152.0F + (Table::kSigned ? 16.0F : 0.0F);
  static constexpr unsigned kCellMask = (kCells - 1) * 4;

  static_assert(
      [] {
        for (std::uint32_t i = 1; i < Table::kLimits; ++i) {
          // More than a cell apart they are, rounded to quarters of cells, at least one apart.
          if ((Table::limit(i) - Table::limit(i - 1)) * kFactor < 1.01F) return false;
        }
        return true;
      }(),
      "two limits of the table may share a cell");

 public:
  struct Shared {
    float limits[kCells];
    std::uint32_t before[kCells];
  };

  __device__ explicit Encoder(Shared& shared) : shared_(shared) {
    if (threadIdx.x < kCells) {
      float limit = codec::from_bits(codec::kInfinityBits);
      std::uint32_t before = 0;
#pragma unroll
      for (std::uint32_t i = 0; i < Table::kLimits; ++i) {
        const unsigned cell = offset_of(Table::limit(i)) / 4;
        if (cell == threadIdx.x) limit = Table::limit(i);
        before += cell < threadIdx.x ? 1U : 0U;
      }
      shared.limits[threadIdx.x] = limit;
      shared.before[threadIdx.x] = before;
    }
    __syncthreads();
  }

  __device__ std::uint32_t operator()(float weight, float operand) const {
    const float value = Format::normalised(weight, operand);
    return code(Table::key(value), value);
  }
  /// The same for weights that may be larger than what the scale is made for: behind the last limit.
  __device__ std::uint32_t any(float weight, float operand) const {
    const float value = Format::normalised(weight, operand);
    return code(fmaxf(fminf(Table::key(value), 1.0F), -1.0F), value);
  }

 private:
  [[nodiscard]] __device__ std::uint32_t code(float key, float value) const {
    const unsigned offset = offset_of(key);
    const float limit = at(shared_.limits, offset);
    return Table::code(at(shared_.before, offset) + (key > limit ? 1U : 0U), value);
  }

  /// Of the cell of `key`, in bytes.
  [[nodiscard]] static __device__ unsigned offset_of(float key) { return codec::bits(__fmaf_rn(key, kFactor, kOffset)) & kCellMask; }

  template <class T>
  [[nodiscard]] static __device__ T at(const T* table, unsigned offset) {
    return *reinterpret_cast<const T*>(reinterpret_cast<const char*>(table) + offset);
  }

  const Shared& shared_;
};

template <class Format>
class Decoder {
 public:
  static constexpr bool kFiniteLevels = false;
  struct Shared {};
  /// All threads of the block must call it.
  __device__ explicit Decoder(Shared&) {}
  __device__ float operator()(std::uint8_t code, float operand) const { return Format::decode(code, operand); }
};

/// Codes of four bits stand for 16 levels, all of them finite, times an operand.
template <class Format>
requires(formats::kPackingOf<Format> != formats::Packing::bytes) class Decoder<Format> {
 public:
  static constexpr bool kFiniteLevels = true;
  struct Shared {
    float levels[16];
  };

  __device__ explicit Decoder(Shared& shared) : shared_(shared) {
    if (threadIdx.x < 16) shared.levels[threadIdx.x] = Format::decode(static_cast<std::uint8_t>(threadIdx.x), 1.0F);
    __syncthreads();
  }
  __device__ float level(std::uint8_t code) const { return shared_.levels[code]; }
  __device__ float operator()(std::uint8_t code, float operand) const { return formats::scaled(level(code), operand); }

 private:
  const Shared& shared_;
};

}  // namespace halftone::cuda
