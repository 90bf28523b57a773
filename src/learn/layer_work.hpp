#pragma once

#include <cstdint>

#include <halftone/learn.hpp>

namespace halftone::learn {

/// What a run is on: by it, a pass over the elements takes the time of few or of many multiplications.
enum class Machine : std::uint8_t { processor, gpu };

/// How much work choosing the codes of a rows × columns weight is, in multiplications of large products: what the times of
/// the layers of a run are about proportional to.
[[nodiscard]] double layer_work(const LearnRecipe& recipe, std::uint64_t rows, std::uint64_t columns, Machine machine);

}  // namespace halftone::learn
