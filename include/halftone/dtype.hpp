#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace halftone {

/// Element types of safetensors, in the format's storage rank (dtype.def).
enum class Dtype : std::uint8_t {
#define HALFTONE_DTYPE(name, bits) name,
#include <halftone/dtype.def>
#undef HALFTONE_DTYPE
};

/// The spelling in a safetensors header, for example "F8_E4M3".
[[nodiscard]] std::string_view name_of(Dtype dtype) noexcept;

/// Size of one element in bits; 4 and 6 for the sub-byte types.
[[nodiscard]] std::uint32_t bits_of(Dtype dtype) noexcept;

/// The type that a header spells `name`, or nothing.
[[nodiscard]] std::optional<Dtype> dtype_from_name(std::string_view name) noexcept;

/// What Halftone does with values of a type (float_type.def).
enum class FloatUse : std::uint8_t { none, read, written };

[[nodiscard]] constexpr FloatUse float_use(Dtype dtype) noexcept {
  switch (dtype) {
#define HALFTONE_FLOAT(name, type, torch, use) \
  case Dtype::name:                            \
    return FloatUse::use;
#include <halftone/float_type.def>
#undef HALFTONE_FLOAT
    default: return FloatUse::none;
  }
}

/// True for the types whose values Halftone quantizes: F64, F32, BF16, F16.
[[nodiscard]] constexpr bool is_source_float(Dtype dtype) noexcept { return float_use(dtype) != FloatUse::none; }
/// True for those that weights are cast and dequantized to: F32, BF16, F16.
[[nodiscard]] constexpr bool is_target_float(Dtype dtype) noexcept { return float_use(dtype) == FloatUse::written; }

}  // namespace halftone
