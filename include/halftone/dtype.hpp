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

/// True for the types whose values Halftone quantizes: F64, F32, BF16, F16.
[[nodiscard]] constexpr bool is_source_float(Dtype dtype) noexcept {
  return dtype == Dtype::F64 || dtype == Dtype::F32 || dtype == Dtype::BF16 || dtype == Dtype::F16;
}

}  // namespace halftone
