#pragma once

#include <cstdint>

#include <halftone/codec/hd.hpp>

#include "learn/engine.hpp"

namespace halftone::learn {

/// Where a code lies in its byte.
struct CodePlace {
  std::uint8_t* byte;
  std::uint32_t shift;
  std::uint32_t mask;
};

[[nodiscard]] HALFTONE_HD CodePlace place_of(const PackedCodes& codes, std::uint64_t element) {
  const std::uint64_t row = element / codes.columns;
  const std::uint64_t column = element % codes.columns;
  std::uint8_t* begin = codes.data + row * codes.row_bytes;
  if (codes.packing == formats::Packing::bytes) return {begin + column, 0U, 255U};
  const bool is_first = column % 2 == 0;
  const bool is_high = is_first == (codes.packing == formats::Packing::high_nibble_first);
  return {begin + column / 2, is_high ? 4U : 0U, 15U};
}

[[nodiscard]] HALFTONE_HD std::uint8_t code_at(const PackedCodes& codes, std::uint64_t element) {
  const CodePlace place = place_of(codes, element);
  return static_cast<std::uint8_t>(std::uint32_t{*place.byte} >> place.shift & place.mask);
}

HALFTONE_HD void set_code(const PackedCodes& codes, std::uint64_t element, std::uint8_t code) {
  const CodePlace place = place_of(codes, element);
  *place.byte = static_cast<std::uint8_t>((std::uint32_t{*place.byte} & ~(place.mask << place.shift)) | static_cast<std::uint32_t>(code)
                                                                                                            << place.shift);
}

}  // namespace halftone::learn
