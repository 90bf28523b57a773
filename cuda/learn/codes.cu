// Codes as they are stored, and their levels.

#include "learn/matrix_launches.hpp"
#include "learn/packed_codes.hpp"
#include "learn/row_loops.cuh"

namespace halftone::cuda {
namespace {

using learn::CodeTables;
using learn::PackedCodes;

/// The elements that share a byte: one thread handles them.
__device__ std::uint64_t elements_of_byte(const PackedCodes& codes) { return codes.packing == formats::Packing::bytes ? 1 : 2; }

/// Calls function(element) for the elements of the byte that a thread has.
template <class Function>
__device__ void for_elements(const PackedCodes& codes, std::uint64_t row, std::uint64_t byte, const Function& function) {
  const std::uint64_t step = elements_of_byte(codes);
  for (std::uint64_t column = byte * step; column < byte * step + step && column < codes.columns; ++column) {
    const std::uint64_t element = row * codes.columns + column;
    if (element < codes.elements) function(element);
  }
}

__global__ void __launch_bounds__(kRowThreads)
    unpack_kernel(PackedCodes codes, CodeTables tables, std::uint64_t rows, std::uint8_t* levels) {
  for_rows(rows, codes.row_bytes, [&](std::uint64_t row, std::uint64_t byte) {
    for_elements(codes, row, byte,
                 [&](std::uint64_t element) { levels[element] = tables.level_of->level[learn::code_at(codes, element)]; });
  });
}

__global__ void __launch_bounds__(kRowThreads)
    pack_kernel(const std::uint8_t* levels, CodeTables tables, PackedCodes codes, std::uint64_t rows, unsigned long long* changed) {
  unsigned long long count = 0;
  for_rows(rows, codes.row_bytes, [&](std::uint64_t row, std::uint64_t byte) {
    for_elements(codes, row, byte, [&](std::uint64_t element) {
      if (tables.level_of->level[learn::code_at(codes, element)] == levels[element]) return;
      learn::set_code(codes, element, tables.levels->codes[levels[element]]);
      ++count;
    });
  });
  if (count != 0) atomicAdd(changed, count);
}

__global__ void __launch_bounds__(kRowThreads)
    scatter_kernel(const std::uint8_t* in, std::uint64_t rows, std::uint64_t columns, const std::uint32_t* order, std::uint8_t* out) {
  for_rows(rows, columns,
           [&](std::uint64_t row, std::uint64_t column) { out[row * columns + order[column]] = in[row * columns + column]; });
}

std::uint64_t rows_of(const PackedCodes& codes) { return (codes.elements + codes.columns - 1) / codes.columns; }

unsigned blocks_for(std::uint64_t rows) { return static_cast<unsigned>(rows < kMostBlocks ? rows : kMostBlocks); }

}  // namespace

void launch_unpack(const PackedCodes& codes, const CodeTables& tables, std::uint8_t* levels, cudaStream_t stream) {
  unpack_kernel<<<blocks_for(rows_of(codes)), kRowThreads, 0, stream>>>(codes, tables, rows_of(codes), levels);
  check_launch("read codes");
}

void launch_pack(const std::uint8_t* levels, const CodeTables& tables, const PackedCodes& codes, unsigned long long* changed,
                 cudaStream_t stream) {
  pack_kernel<<<blocks_for(rows_of(codes)), kRowThreads, 0, stream>>>(levels, tables, codes, rows_of(codes), changed);
  check_launch("write codes");
}

void launch_scatter_levels(const std::uint8_t* in, std::uint64_t rows, std::uint64_t columns, const std::uint32_t* order, std::uint8_t* out,
                           cudaStream_t stream) {
  scatter_kernel<<<blocks_for(rows), kRowThreads, 0, stream>>>(in, rows, columns, order, out);
  check_launch("put levels in order");
}

}  // namespace halftone::cuda
