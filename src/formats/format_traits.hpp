#pragma once

#include <concepts>
#include <cstdint>

#include <halftone/codec/hd.hpp>
#include <halftone/format.hpp>

#include "formats/scale_chains.hpp"

namespace halftone::formats {

// What code that is compiled per format asks of its maths, `formats::<folder>::Format`.  A format has
//
//   kGrid                          which elements share a scale
//   scale_from_amax(amax)          the scale of a group, as Scale or, stored in a byte, as ByteScale
//   encode(weight, operand)        the code, in the low bits of a word
//   decode(code, operand)          its value
//
// and, where they differ from the plain case,
//
//   Codec, kOperand                for chains (scale_chains.hpp): what encode() is made of; kernels may do the same
//                                  for many weights at once, so a format with an encode() of its own has neither
//   Table, normalised(weight, operand)
//                                  for tables (codec/codebook.hpp): encode() is Table::encode() of the normalised weight
//   kRotates                       weights are usually rotated first; kernels may do both at once, with
//     encode_within<Added>(weight, operand)  encode() plus an even number, with any bits above the code, for weights of
//                                  at most the magnitude that the scale is made from
//   kRun                           elements of a run, with ScaleGrid::run
//   kPacking                       how two codes share a byte
//   tensor_scale(amax)             a scale for the whole weight; scale_from_amax() then takes it too
//   row_scale(largest)             a scale for each row, of the largest value of its groups.  Then fit(weights, n, largest)
//                                  gives the scale of a group and raises `largest`; scale_from_amax() and candidate() take
//                                  it, and encode() weights, in units of the row's scale
//   level(code), decode_level(level, operand)  where a stored layer may bring levels of its own: decode() by way of a level
//   decode_operand(stored, tensor) what decode() takes, where that is not the stored scale itself
//   nearest(magnitude, encode, decode)  the value of the code of a finite weight of at least 0, where that is less work than
//                                  encode() and decode(), of which the others are the operands; negated, it is that of
//                                  the negated weight
//   kCandidates                    how many scales a search may choose from for a group, and either
//     factor(i)                    what the group's maximum is multiplied with for candidate i; factor(0) is 1
//     candidate(amax, tensor, i)   the scale itself; candidate 0 is that of scale_from_amax()
//   kTensorCandidates              the same for the scale of a whole weight that has scales of groups below it, and
//     tensor_factor(i)             what the weight's maximum is multiplied with; tensor_factor(0) is 1

/// How codes lie in bytes.
enum class Packing : std::uint8_t { bytes, high_nibble_first, low_nibble_first };

template <class Format>
constexpr Packing kPackingOf = [] {
  if constexpr (requires { Format::kPacking; }) {
    return Format::kPacking;
  } else {
    return Packing::bytes;
  }
}();

/// Elements of a run; 0 for formats of other grids.
template <class Format>
constexpr std::uint32_t kRunOf = [] {
  if constexpr (requires { Format::kRun; }) {
    return Format::kRun;
  } else {
    return 0U;
  }
}();

/// Whether kernels that rotate and quantize at once are wanted.
template <class Format>
constexpr bool kRotates = [] {
  if constexpr (requires { Format::kRotates; }) {
    return Format::kRotates;
  } else {
    return false;
  }
}();

template <class Format>
concept TwoLevel = requires {
  Format::tensor_scale(1.0F);
};

/// A format whose rows have scales above those of their groups, and fits the scales of groups to their weights.
template <class Format>
concept RowScaled = requires {
  Format::row_scale(1.0F);
};

/// The scale of a group; `tensor` is that of the whole weight and ignored where there is none.
template <class Format>
[[nodiscard]] HALFTONE_HD auto group_scale(float amax, [[maybe_unused]] float tensor) {
  if constexpr (TwoLevel<Format>) {
    return Format::scale_from_amax(amax, tensor);
  } else {
    return Format::scale_from_amax(amax);
  }
}

template <class Format>
constexpr int kCandidatesOf = [] {
  if constexpr (requires { Format::kCandidates; }) {
    return Format::kCandidates;
  } else {
    return 1;
  }
}();

/// How many scales of a whole weight a search may choose from.
template <class Format>
constexpr int kTensorCandidatesOf = [] {
  if constexpr (requires { Format::kTensorCandidates; }) {
    return Format::kTensorCandidates;
  } else {
    return Format::kGrid == ScaleGrid::tensor ? kCandidatesOf<Format> : 1;
  }
}();

/// What the largest magnitude of a weight is multiplied with for candidate `i` of its scale.
template <class Format>
[[nodiscard]] HALFTONE_HD float tensor_factor([[maybe_unused]] int i) {
  if constexpr (requires { Format::tensor_factor(i); }) {
    return Format::tensor_factor(i);
  } else if constexpr (Format::kGrid == ScaleGrid::tensor && requires { Format::factor(i); }) {
    return Format::factor(i);
  } else {
    return 1.0F;
  }
}

/// Scale `i` of those that a search may choose from; 0 is group_scale().
template <class Format>
[[nodiscard]] HALFTONE_HD auto candidate_scale(float amax, float tensor, int i) {
  if constexpr (requires { Format::candidate(amax, tensor, i); }) {
    return Format::candidate(amax, tensor, i);
  } else if constexpr (requires { Format::factor(i); }) {
    return group_scale<Format>(amax * Format::factor(i), tensor);
  } else {
    return group_scale<Format>(amax, tensor);
  }
}

/// The type in which a format stores the scale of a group: float or std::uint8_t.
template <class Format>
using StoredScale = decltype(group_scale<Format>(1.0F, 1.0F).stored);

/// What Format::decode() takes for a stored scale.
template <class Format>
[[nodiscard]] HALFTONE_HD float decode_operand(StoredScale<Format> stored, [[maybe_unused]] float tensor) {
  if constexpr (requires { Format::decode_operand(stored, tensor); }) {
    return Format::decode_operand(stored, tensor);
  } else {
    return stored;
  }
}

/// The part of a format's storage that its maths decides; `rest` has the other members.
template <class Format>
[[nodiscard]] Storage storage_of(Storage rest = {}) {
  rest.grid = Format::kGrid;
  rest.code_bits = kPackingOf<Format> == Packing::bytes ? 8 : 4;
  rest.scale_bytes = sizeof(StoredScale<Format>);
  rest.run = kRunOf<Format>;
  rest.two_level = TwoLevel<Format>;
  rest.row_scales = RowScaled<Format>;
  return rest;
}

}  // namespace halftone::formats
