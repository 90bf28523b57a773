#pragma once

#include <cstdint>

#include <halftone/format.hpp>
#include <halftone/learn.hpp>

namespace halftone::learn {

/// Bytes of the matrices and arrays of an engine that choosing the codes of a rows × columns weight takes at most, so that
/// several layers can share a device.  Not less than what is taken, and not much more.
[[nodiscard]] std::uint64_t layer_bytes(const LearnRecipe& recipe, const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns);

}  // namespace halftone::learn
