#include "formats/scale_rules.hpp"

#include <array>
#include <type_traits>

#include "formats/all_formats.hpp"
#include "formats/format_traits.hpp"

namespace halftone {
namespace formats {
namespace {

template <class Format, class Scale>
AnyScale any(const Scale& scale) {
  if constexpr (std::is_same_v<StoredScale<Format>, float>) {
    return {scale.encode, codec::bits(scale.stored)};
  } else {
    return {scale.encode, scale.stored};
  }
}

template <class Format>
AnyScale group(float amax, float tensor) {
  return any<Format>(group_scale<Format>(amax, tensor));
}

template <class Format>
AnyScale candidate(float amax, float tensor, int i) {
  return any<Format>(candidate_scale<Format>(amax, tensor, i));
}

template <class Format>
float tensor(float amax) {
  if constexpr (TwoLevel<Format>) return Format::tensor_scale(amax);
  if constexpr (Format::kGrid == ScaleGrid::tensor) return Format::scale_from_amax(amax).stored;
  return 1.0F;
}

template <class Format>
float operand(std::uint32_t stored, float tensor) {
  if constexpr (std::is_same_v<StoredScale<Format>, float>) {
    return decode_operand<Format>(codec::from_bits(stored), tensor);
  } else {
    return decode_operand<Format>(static_cast<std::uint8_t>(stored), tensor);
  }
}

template <class Format>
std::uint32_t encode(float weight, float operand) {
  return Format::encode(weight, operand);
}

template <class Format>
float decode(std::uint8_t code, float operand) {
  return Format::decode(code, operand);
}

template <class Format>
constexpr ScaleRules rules() {
  ScaleRules rules{group<Format>,         kCandidatesOf<Format>, candidate<Format>, tensor<Format>, kTensorCandidatesOf<Format>,
                   tensor_factor<Format>, operand<Format>,       nullptr,           nullptr,        nullptr,
                   encode<Format>,        decode<Format>,        kPackingOf<Format>};
  if constexpr (RowScaled<Format>) rules.row = [](float largest) { return Format::row_scale(largest); };
  if constexpr (requires { Format::decode_level(1.0F, 1.0F); }) {
    rules.level = [](std::uint32_t code) { return Format::level(code); };
    rules.decode_level = [](float level, float operand) { return Format::decode_level(level, operand); };
  }
  return rules;
}

constexpr std::array kRules = {
#define HALFTONE_FORMAT(folder) rules<folder::Format>(),
#include "formats/formats.def"
#undef HALFTONE_FORMAT
};

}  // namespace

const ScaleRules& scale_rules(const FormatDescriptor& format) noexcept { return kRules[format.index()]; }

float largest_scale(const FormatDescriptor& format, std::uint32_t stored) noexcept {
  const float largest = scale_rules(format).operand(stored, 1.0F);
  return largest > 0.0F ? largest : 1.0F;
}

}  // namespace formats

bool can_search_scales(const FormatDescriptor& format) noexcept { return formats::scale_rules(format).candidates > 1; }

float tensor_scale(const FormatDescriptor& format, float amax) { return formats::scale_rules(format).tensor(amax); }

}  // namespace halftone
