#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "learn/all_optimizers.hpp"

namespace halftone::learn {

/// Calls function(Type{}) with the type of `optimizer`.
template <class Function>
auto with_optimizer(Optimizer optimizer, const Function& function) {
  switch (optimizer) {
#define HALFTONE_OPTIMIZER(name, type, summary) \
  case Optimizer::name:                         \
    return function(type{});
#include <halftone/optimizer.def>
#undef HALFTONE_OPTIMIZER
  }
  return function(Original{});  // no enumerator
}

/// Matrices of moments that `optimizer` keeps of a rows × columns weight.
[[nodiscard]] int matrices_of_moments(Optimizer optimizer, std::uint64_t rows, std::uint64_t columns);

/// Of how many of a weight's elements `optimizer` keeps two numbers more.
[[nodiscard]] std::uint64_t sampled_elements(Optimizer optimizer, std::uint64_t elements);

/// Bytes that hold the Scalars of any optimizer.
inline constexpr std::size_t kScalarBytes = 256;
#define HALFTONE_OPTIMIZER(name, type, summary) \
  static_assert(sizeof(type::Scalars) <= kScalarBytes && std::is_trivially_copyable_v<type::Scalars>);
#include <halftone/optimizer.def>
#undef HALFTONE_OPTIMIZER

}  // namespace halftone::learn
