#pragma once

#include <cstdint>

#include <halftone/learn.hpp>

namespace halftone::learn {

/// How much work choosing the codes of a rows × columns weight is, in multiplications of large products: what the times of
/// layers of one recipe are about proportional to.
[[nodiscard]] double layer_work(const LearnRecipe& recipe, std::uint64_t rows, std::uint64_t columns);

}  // namespace halftone::learn
