#pragma once

#include <cstdint>

#include <halftone/backend.hpp>
#include <halftone/learn.hpp>

namespace halftone::learn {

/// How much work choosing the codes of a rows × columns weight is, in multiplications of large products: what the times of
/// the layers of a run are about proportional to.  By the device, a pass over the elements takes the time of few or of many
/// multiplications.
[[nodiscard]] double layer_work(const LearnRecipe& recipe, std::uint64_t rows, std::uint64_t columns, DeviceKind device);

}  // namespace halftone::learn
